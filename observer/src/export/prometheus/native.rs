//! The buckets of a native histogram: as fine as there is room for.
//!
//! Bucket `i` of schema `s` holds what is above `2^((i-1)/2^s)`, up to and with `2^(i/2^s)`.

/// The finest schema that is used. Its buckets are 0.54 % wide, so a quantile is never off by more.
const FINEST: i8 = 7;
/// The coarsest schema that Prometheus knows: a factor of 65,536 between two bounds.
const COARSEST: i8 = -4;
/// Buckets of one series. Past them the width is doubled, as other clients do. Two and a half octaves fit at the finest
/// schema; where nine are needed, buckets are 2.2 % wide, but then there are many values in most of them, between which
/// Prometheus interpolates.
const MOST_BUCKETS: usize = 320;
/// Values up to this count as zero. The same as in other clients, so that their histograms can be added to ours.
pub const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

/// Counts by native bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    schema: i8,
    zeros: u64,
    /// By index, in order. Few are used of the many that there could be.
    buckets: Vec<Bucket>,
}

/// A bucket that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its number in the schema.
    pub index: i32,
    /// How many values it holds.
    pub count: u64,
}

impl Default for Native {
    fn default() -> Self {
        Self { schema: FINEST, zeros: 0, buckets: Vec::new() }
    }
}

impl Native {
    /// Counts a value that is neither negative nor infinite.
    pub fn observe(&mut self, value: f64) {
        if value <= ZERO_THRESHOLD {
            self.zeros += 1;
            return;
        }
        let index = index(value, self.schema);
        match self.buckets.binary_search_by_key(&index, |bucket| bucket.index) {
            Ok(at) => self.buckets[at].count += 1,
            Err(at) => self.buckets.insert(at, Bucket { index, count: 1 }),
        }
        while self.buckets.len() > MOST_BUCKETS && self.schema > COARSEST {
            self.coarsen();
        }
    }

    /// The schema in use.
    pub const fn schema(&self) -> i32 {
        self.schema as i32
    }

    /// Values that count as zero.
    pub const fn zeros(&self) -> u64 {
        self.zeros
    }

    /// The buckets in use, in order.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Two neighbours become one.
    fn coarsen(&mut self) {
        self.schema -= 1;
        self.buckets.iter_mut().for_each(|bucket| bucket.index = (bucket.index + 1) >> 1);
        self.buckets.dedup_by(|next, kept| {
            let is_same = next.index == kept.index;
            kept.count += if is_same { next.count } else { 0 };
            is_same
        });
    }
}

fn index(value: f64, schema: i8) -> i32 {
    (value.log2() * f64::from(schema).exp2()).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Native {
        let mut native = Native::default();
        values.into_iter().for_each(|value| native.observe(value));
        native
    }

    fn upper_bound(index: i32, schema: i32) -> f64 {
        (f64::from(index) / f64::from(schema).exp2()).exp2()
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below() {
        let bucket = |value| of([value]).buckets()[0].index;
        assert_eq!([bucket(1.0), bucket(1.000_001), bucket(2.0), bucket(0.5)], [0, 1, 128, -128]);
    }

    #[test]
    fn a_value_is_within_one_percent_of_its_bounds() {
        for value in [0.000_012, 0.0031, 0.25, 1.7, 42.0, 7.3e6] {
            let native = of([value]);
            let upper = upper_bound(native.buckets()[0].index, native.schema());
            assert!(value <= upper && upper / value < 1.01, "{value}: {upper}");
        }
    }

    #[test]
    fn the_width_doubles_where_there_are_too_many() {
        let nine_octaves = || (0..18_000).map(|number| 0.001 * (f64::from(number) / 2000.0).exp2());
        let native = of(nine_octaves());
        assert_eq!(native.schema(), 5);
        assert!(native.buckets().len() <= MOST_BUCKETS && native.buckets().len() > MOST_BUCKETS / 2);
        assert_eq!(native.buckets().iter().map(|bucket| bucket.count).sum::<u64>(), 18_000);
        assert!(native.buckets().is_sorted_by(|one, next| one.index < next.index));
        // As if it had been so coarse from the beginning.
        let mut coarse = Native { schema: 5, ..Native::default() };
        nine_octaves().for_each(|value| coarse.observe(value));
        assert_eq!(native, coarse);
    }

    #[test]
    fn the_whole_range_of_numbers_fits() {
        let native = of((-126..1024).map(|exponent| f64::from(exponent).exp2()).chain([0.0, 0.0]));
        assert!(native.buckets().len() <= MOST_BUCKETS);
        assert_eq!(native.zeros(), 2);
        assert_eq!(native.buckets().iter().map(|bucket| bucket.count).sum::<u64>(), 1150);
    }
}
