//! How a session answers: results, errors and progress, in whatever way its transport has for them.

use mcp_observer::pipeline::observation::Outcome;

use super::random::Random;
use super::session::{CLIENT, Link, Open, SERVER, Script, Session};
use super::text;
use super::truth::{Truth, code};

impl Session {
    /// Who was asked by `side` answers one call, or a whole batch.
    pub(super) fn answer_some(&mut self, script: &mut Script, side: usize) {
        if self.open[side].is_empty() {
            return;
        }
        let index = script.stage.random.below(self.open[side].len());
        let open = self.open[side].remove(index);
        let random = &mut script.stage.random;
        let (text, outcome, code) = answer(&script.calls[open.call], &open, self.modern, random);
        let stage = &mut script.stage;
        let others = self.open[side].iter().any(|other| other.connection == open.connection);
        self.answered[side].push(open.id.clone());
        let span = match &mut self.link {
            Link::Lines(channels) => {
                channels[side].read_all(stage);
                channels[1 - side].write(stage, format!("{text}\n").as_bytes(), &text)
            }
            Link::Http(http) if side == SERVER => {
                http.read_down(stage, open.connection);
                http.post_only(stage, &mut script.ports, &text)
            }
            Link::Http(http) if Some(open.connection) == http.stream => {
                http.event(stage, open.connection, &text)
            }
            Link::Http(http) if others || http.must_stream(open.connection) || stage.random.one_in(2) => {
                let moved = if http.session.is_some() && !others && stage.random.one_in(8) {
                    http.resume(stage, &mut script.ports, open.connection)
                } else {
                    open.connection
                };
                let span = http.event(stage, moved, &text);
                if !others {
                    http.end_events(stage, moved);
                }
                span
            }
            Link::Http(http) if stage.random.one_in(10) => {
                let (line, status) =
                    *stage.random.pick(&[("503 Service Unavailable", 503), ("401 Unauthorized", 401)]);
                let span = http.status(stage, open.connection, line);
                return self.end(script, &open, Outcome::HttpError, Some(status), Some(span));
            }
            Link::Http(http) => http.body(stage, open.connection, &[], &text),
        };
        self.end(script, &open, outcome, code, Some(span));
    }

    pub(super) fn end(
        &mut self,
        script: &mut Script,
        open: &Open,
        how: Outcome,
        code: Option<i64>,
        answer: Option<usize>,
    ) {
        let truth = &mut script.calls[open.call];
        (truth.outcome, truth.code, truth.answer) = (Some(how), code, answer);
    }

    /// Who was asked tells how far it is.
    pub(super) fn progress(&mut self, script: &mut Script) {
        let with_token = |open: &&Open| open.token.is_some();
        let Some(open) = self.open[CLIENT].iter().find(with_token).cloned() else { return };
        let params = format!(r#""progressToken":{},"progress":1"#, open.token.unwrap_or_default());
        let stage = &mut script.stage;
        let text = text::notification("notifications/progress", &params, &mut stage.random);
        let span = match &mut self.link {
            Link::Lines([up, down]) => {
                up.read_all(stage);
                down.write(stage, format!("{text}\n").as_bytes(), &text)
            }
            Link::Http(http) => http.event(stage, open.connection, &text),
        };
        let truth = &mut script.calls[open.call];
        truth.progress += 1;
        truth.first_progress = truth.first_progress.or(Some(span));
    }
}

/// An answer by chance, and what it means.
fn answer(truth: &Truth, open: &Open, modern: bool, random: &mut Random) -> (String, Outcome, Option<i64>) {
    let of_tool = truth.method == "tools/call";
    let mut result = |failed, kind: Option<&str>| text::result(open.call, &open.id, failed, kind, random);
    match open.call % 11 {
        0 => (text::error(open.call, &open.id, random), Outcome::RpcError, Some(code(open.call))),
        1 if of_tool => (result(true, None), Outcome::ToolError, None),
        2 if of_tool && modern => (result(false, Some("input_required")), Outcome::InputRequired, None),
        3 if of_tool && modern => (result(false, Some("task")), Outcome::Task, None),
        _ if modern => (result(false, Some("complete")), Outcome::Ok, None),
        _ => (result(false, None), Outcome::Ok, None),
    }
}
