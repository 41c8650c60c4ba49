//! What a collector's answer means: delivered, to be sent again, or refused. By the rules of the OTLP specification.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken, but for so many of its parts.
    Taken {
        /// Parts that were turned down.
        rejected: u64,
        /// What the collector says, if anything.
        message: String,
    },
    /// It is to be sent again, after this time if the collector says so.
    Again {
        /// Not before.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// Sending it again would not help.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Of an HTTP status that is not a success.
    pub fn of_http(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        let reason = format!("HTTP status {}", status.as_u16());
        match status.as_u16() {
            429 | 502 | 503 | 504 => Self::Again { after: retry_after(headers, now), reason },
            300..400 => Self::Refused { reason: format!("{reason}: redirections are not followed") },
            _ => Self::Refused { reason },
        }
    }

    /// Of a gRPC status that is not OK.
    pub fn of_grpc(status: &Status) -> Self {
        // With a source it was not the collector that said so, but the way to it that broke.
        if let Some(broken) = std::error::Error::source(status) {
            return Self::of_transport(broken);
        }
        // Its message is the collector's, and may quote what it was sent.
        let reason = format!("gRPC status {:?}", status.code());
        let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let again = match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => after.is_some(),
            _ => false,
        };
        if again { Self::Again { after, reason } } else { Self::Refused { reason } }
    }

    /// The collector was not reached, or the connection broke.
    pub fn of_transport(error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::Again { after: None, reason }
    }
}

/// RFC 9110, §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The times between attempts: they double, and vary so that many observers do not come at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);
/// What a collector asks for beyond this is not granted: its clock may be wrong.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

impl Backoff {
    /// Begins anew.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { next: FIRST, random: now.as_nanos() as u64 | 1 }
    }

    /// How long to wait before the next attempt.
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let usual = self.next;
        self.next = (usual * 2).min(LONGEST);
        // Xorshift; good enough to spread attempts.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let part = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        let varied = usual.mul_f64(0.5 + part);
        asked.map_or(varied, |asked| asked.min(LONGEST_ASKED).max(varied.min(FIRST)))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn is_again(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Again { .. })
    }

    #[test]
    fn http_is_retried_for_four_statuses_only() {
        let now = SystemTime::now();
        for status in 400..600 {
            let verdict = Verdict::of_http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), now);
            assert_eq!(is_again(&verdict), [429, 502, 503, 504].contains(&status), "{status}");
        }
    }

    #[test]
    fn the_collector_may_say_when() {
        let at = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            match Verdict::of_http(StatusCode::SERVICE_UNAVAILABLE, &headers, SystemTime::UNIX_EPOCH) {
                Verdict::Again { after, .. } => after,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at("7"), Some(Duration::from_secs(7)));
        assert_eq!(at("Thu, 01 Jan 1970 00:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(at("soon"), None);
        assert_eq!(Backoff::new().wait(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(Backoff::new().wait(Some(Duration::from_secs(7_000_000))), LONGEST_ASKED);
    }

    #[test]
    fn grpc_is_retried_for_the_codes_of_the_specification() {
        let again = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        for code in (0..=16).map(Code::from_i32) {
            let verdict = Verdict::of_grpc(&Status::new(code, ""));
            assert_eq!(is_again(&verdict), again.contains(&code), "{code:?}");
        }
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(3)));
        let exhausted = Status::with_error_details(Code::ResourceExhausted, "", details);
        let after = Some(Duration::from_secs(3));
        assert!(matches!(Verdict::of_grpc(&exhausted), Verdict::Again { after: told, .. } if told == after));
    }

    #[test]
    fn waits_grow_to_a_bound_and_vary() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..12).map(|_| backoff.wait(None)).collect();
        for (number, wait) in waits.iter().enumerate() {
            let usual = (FIRST * 2_u32.pow(number as u32)).min(LONGEST);
            assert!(*wait >= usual / 2 && *wait <= usual * 3 / 2, "{number}: {wait:?}");
        }
        let mut late: Vec<_> = waits[8..].to_vec();
        late.dedup();
        assert_eq!(late.len(), 4, "all different");
    }
}
