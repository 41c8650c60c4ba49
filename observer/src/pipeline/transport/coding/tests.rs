//! Bodies as real encoders write them.

