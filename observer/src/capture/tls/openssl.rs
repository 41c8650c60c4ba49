//! OpenSSL 1.1 and 3.x, as a shared library or linked into a program.

use observer_common::settings::TlsFunction;
use observer_common::stream::TlsLibrary;

use super::Library;

/// `int SSL_read(SSL *, void *, int)`, `int SSL_write(SSL *, const void *, int)`, and from 1.1.1 on
/// `int SSL_read_ex(SSL *, void *, size_t, size_t *)`, `int SSL_write_ex(SSL *, const void *, size_t, size_t *)`.
pub(super) const OPENSSL: Library = Library {
    library: TlsLibrary::OpenSsl,
    functions: &[
        ("SSL_read", TlsFunction::Read),
        ("SSL_write", TlsFunction::Write),
        ("SSL_read_ex", TlsFunction::ReadEx),
        ("SSL_write_ex", TlsFunction::WriteEx),
        ("SSL_free", TlsFunction::Free),
    ],
};
