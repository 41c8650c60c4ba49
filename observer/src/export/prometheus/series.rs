//! One series: its label values, and what was counted.

use std::hash::{Hash, Hasher};

use super::native::Native;

/// A series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its label values, in the order of the table.
    pub values: Values,
    /// When it began, Unix time; 0 if that is not known.
    pub created_unix_ns: i64,
    /// What was counted.
    pub sample: Sample,
}

/// What was counted.
#[derive(Clone, Debug)]
pub enum Sample {
    /// Of a counter or gauge.
    Number(f64, Option<Exemplar>),
    /// Of a histogram.
    Buckets(Box<Buckets>),
}

/// A value together with the trace in which it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Where it was measured.
    pub trace: Trace,
    /// What was measured.
    pub value: f64,
    /// When, Unix time.
    pub unix_ns: i64,
}

/// A trace and a span that somebody exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
}

/// A histogram, in classic and in native buckets.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// By classic bucket, each for itself; the last one is for what is above all bounds.
    counts: Box<[u64]>,
    /// The latest of each classic bucket; empty until there is one.
    exemplars: Vec<Option<Exemplar>>,
    count: u64,
    sum: f64,
    native: Native,
}

impl Buckets {
    /// An empty one with these upper bounds.
    pub fn new(bounds: &[f64]) -> Self {
        let counts = vec![0; bounds.len() + 1].into();
        Self { counts, exemplars: Vec::new(), count: 0, sum: 0.0, native: Native::default() }
    }

    /// Counts a value. `bounds` are those that it was made with.
    pub fn observe(&mut self, bounds: &[f64], value: f64, exemplar: Option<Exemplar>) {
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        if exemplar.is_some() {
            self.exemplars.resize(self.counts.len(), None);
            if let Some(kept) = self.exemplars.get_mut(at) {
                *kept = exemplar;
            }
        }
        self.count += 1;
        self.sum += value;
        self.native.observe(value);
    }

    /// Each upper bound, the last of which is infinite, with the count up to it and an exemplar.
    pub fn classic<'b>(&'b self, bounds: &'b [f64]) -> impl Iterator<Item = (f64, u64, Option<Exemplar>)> {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let exemplars = self.exemplars.iter().copied().chain(std::iter::repeat(None));
        let mut total = 0;
        bounds.zip(&self.counts).zip(exemplars).map(move |((bound, count), exemplar)| {
            total += count;
            (bound, total, exemplar)
        })
    }

    /// How many values there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// The native buckets.
    pub const fn native(&self) -> &Native {
        &self.native
    }
}

/// The label values of one series, in two pieces of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Values {
    /// A copy of `values`.
    pub fn new(values: &[&str]) -> Self {
        let mut end = 0;
        let ends = values.iter().map(|value| {
            end += value.len();
            u32::try_from(end).unwrap_or(u32::MAX)
        });
        Self { ends: ends.collect(), text: values.concat().into() }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let value = self.text.get(begin..*end as usize).unwrap_or_default();
            begin = *end as usize;
            value
        })
    }

    /// Whether they are these.
    pub fn are(&self, values: &[&str]) -> bool {
        self.ends.len() == values.len() && self.iter().zip(values).all(|(one, other)| one == *other)
    }
}

/// The same for borrowed and for kept values.
pub fn hash<'v>(mut hasher: impl Hasher, values: impl Iterator<Item = &'v str>) -> u64 {
    values.for_each(|value| value.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_wherever_they_are_cut() {
        let values = Values::new(&["ab", "", "c"]);
        assert_eq!(values.iter().collect::<Vec<_>>(), ["ab", "", "c"]);
        assert!(values.are(&["ab", "", "c"]));
        for other in [&["a", "b", "c"] as &[&str], &["ab", "c", ""], &["ab", ""], &["ab", "", "c", ""]] {
            assert!(!values.are(other), "{other:?}");
        }
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_latest_exemplar_stays() {
        let bounds = [0.1, 1.0];
        let mut buckets = Buckets::new(&bounds);
        let exemplar = |value| Some(Exemplar { trace: Trace { trace_id: 1, span_id: 2 }, value, unix_ns: 3 });
        buckets.observe(&bounds, 0.1, exemplar(0.1));
        buckets.observe(&bounds, 0.05, exemplar(0.05));
        buckets.observe(&bounds, 0.5, None);
        buckets.observe(&bounds, 7.0, exemplar(7.0));
        let seen = buckets.classic(&bounds).collect::<Vec<_>>();
        assert_eq!(seen, [(0.1, 2, exemplar(0.05)), (1.0, 3, None), (f64::INFINITY, 4, exemplar(7.0))]);
        assert_eq!((buckets.count(), buckets.sum()), (4, 7.65));
    }

    #[test]
    fn a_number_that_is_none_does_no_harm() {
        let mut buckets = Buckets::new(&[1.0]);
        [f64::NAN, f64::INFINITY, -1.0].iter().for_each(|value| buckets.observe(&[1.0], *value, None));
        assert_eq!((buckets.count(), buckets.sum(), buckets.native().zeros()), (3, 0.0, 3));
    }
}
