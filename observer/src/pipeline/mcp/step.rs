//! The steps of the protocol that one conversation takes, and how long it is from one to the next.
//!
//! What is measured is the time from sending one request to sending the next, each for its first time: from
//! `initialize` to `tools/list` and to `tools/call`, and in the stateless era from `server/discover`. A new
//! `initialize` begins again.

use std::time::Duration;

use crate::pipeline::time::Timestamp;

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// From `initialize` to `tools/list`.
    InitializeToList,
    /// From `tools/list` to `tools/call`.
    ListToCall,
    /// From `initialize` to `tools/call`.
    InitializeToCall,
    /// From `server/discover` to `tools/call`.
    DiscoverToCall,
}

impl Step {
    /// The value of `step`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InitializeToList => "initialize_to_list",
            Self::ListToCall => "list_to_call",
            Self::InitializeToCall => "initialize_to_call",
            Self::DiscoverToCall => "discover_to_call",
        }
    }
}

/// How far one conversation has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    initialized_at: Option<Timestamp>,
    discovered_at: Option<Timestamp>,
    listed_at: Option<Timestamp>,
    is_calling: bool,
}

impl Progress {
    /// A request that was sent at `at` has begun a conversation, if that is what the method does.
    pub fn begin(method: &str, at: Timestamp) -> Option<Self> {
        match method {
            "initialize" => Some(Self { initialized_at: Some(at), ..Self::default() }),
            "server/discover" => Some(Self { discovered_at: Some(at), ..Self::default() }),
            _ => None,
        }
    }

    /// A request is sent at `at`: the steps that it ends.
    pub fn ask(&mut self, method: &str, at: Timestamp) -> impl Iterator<Item = (Step, Duration)> {
        let mut ended = [None; 3];
        match method {
            "tools/list" if self.listed_at.is_none() => {
                self.listed_at = Some(at);
                ended = [Some((Step::InitializeToList, self.initialized_at)), None, None];
            }
            "tools/call" if !self.is_calling => {
                self.is_calling = true;
                ended = [
                    Some((Step::ListToCall, self.listed_at)),
                    Some((Step::InitializeToCall, self.initialized_at)),
                    Some((Step::DiscoverToCall, self.discovered_at)),
                ];
            }
            _ => {}
        }
        ended.into_iter().flatten().filter_map(move |(step, since)| Some((step, at.since(since?))))
    }
}

/// Whether the method is one of a step.
pub fn is_step(method: &str) -> bool {
    matches!(method, "initialize" | "server/discover" | "tools/list" | "tools/call")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(progress: &mut Progress, method: &str, at: u64) -> Vec<(&'static str, u128)> {
        let ended = progress.ask(method, Timestamp::from_nanos(at));
        ended.map(|(step, took)| (step.name(), took.as_nanos())).collect()
    }

    #[test]
    fn each_step_is_taken_once() {
        let mut progress = Progress::begin("initialize", Timestamp::from_nanos(100)).unwrap();
        assert_eq!(ended(&mut progress, "ping", 120), []);
        assert_eq!(ended(&mut progress, "tools/list", 130), [("initialize_to_list", 30)]);
        assert_eq!(ended(&mut progress, "tools/list", 140), []);
        let both = [("list_to_call", 70), ("initialize_to_call", 100)];
        assert_eq!(ended(&mut progress, "tools/call", 200), both);
        assert_eq!(ended(&mut progress, "tools/call", 300), []);
    }

    #[test]
    fn a_client_may_leave_steps_out() {
        let mut progress = Progress::begin("initialize", Timestamp::from_nanos(100)).unwrap();
        assert_eq!(ended(&mut progress, "tools/call", 150), [("initialize_to_call", 50)]);
        let mut progress = Progress::begin("server/discover", Timestamp::from_nanos(100)).unwrap();
        assert_eq!(ended(&mut progress, "tools/list", 110), []);
        let both = [("list_to_call", 50), ("discover_to_call", 60)];
        assert_eq!(ended(&mut progress, "tools/call", 160), both);
        assert!(Progress::begin("tools/list", Timestamp::from_nanos(1)).is_none());
    }
}
