//! Lines of servers beside their calls.

use super::{Object, View, milliseconds};
use crate::pipeline::observation::{Auth, ProtocolStep, Server, ServerUsage, ToolChanged, ToolsListed};

impl View {
    pub(super) fn server(self, r#type: &str, it: &Server) -> Object {
        let mut line = self.begin(r#type, it.at);
        line.put("transport", it.transport.name());
        self.peer(&mut line, "server", &it.server);
        line.put_known("probe", Some(true).filter(|_| it.is_probe));
        line.put_known("was_running", Some(true).filter(|_| it.was_running && it.status.is_none()));
        line.put_known("reason", it.reason());
        match it.status.map(|status| (status & 0x7f, status >> 8 & 0xff)) {
            Some((0, code)) => line.put("exit_code", code),
            Some((signal, _)) => line.put("signal", signal),
            None => {}
        }
        line
    }

    pub(super) fn tools_listed(self, it: &ToolsListed) -> Object {
        let mut line = self.begin("tools_listed", it.at);
        line.put("transport", it.transport.name());
        line.put("count", it.tools.len());
        line.put("tools", &it.tools.iter().map(|tool| &**tool).collect::<Vec<_>>());
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    /// What is told of the tool is not shown: it is the server's text, and only its hash is known.
    pub(super) fn tool_changed(self, it: &ToolChanged) -> Object {
        let mut line = self.begin("tool_changed", it.at);
        line.put("tool", &*it.changed.tool);
        line.put("transport", it.transport.name());
        line.put("before", format!("{:032x}", it.changed.before));
        line.put("after", format!("{:032x}", it.changed.after));
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    pub(super) fn step(self, it: &ProtocolStep) -> Object {
        let mut line = self.begin("protocol_step", it.at);
        line.put("step", it.step.name());
        line.put("transport", it.transport.name());
        line.put("duration_ms", milliseconds(it.duration));
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    pub(super) fn auth(self, it: &Auth) -> Object {
        let mut line = self.begin("auth", it.at);
        line.put("transport", it.transport.name());
        line.put("scheme", it.scheme.name());
        line.put("result", it.result.name());
        line.put("status", it.status);
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    pub(super) fn usage(self, it: &ServerUsage) -> Object {
        let mut line = self.begin("server_usage", it.at);
        line.put("uptime_seconds", it.uptime.as_secs_f64());
        line.put("memory_bytes", it.resident_bytes);
        line.put("cpu_seconds", it.cpu.as_secs_f64());
        self.peer(&mut line, "server", &it.server);
        line
    }
}
