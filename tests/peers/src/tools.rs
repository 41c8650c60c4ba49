//! The tools that every server of these tests offers, here for the Rust SDK.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig,
    Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value, json};

/// An MCP server whose tools do what a test needs done.
#[derive(Clone, Copy, Debug)]
pub struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("peer-server", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(described).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let number = |name: &str| arguments.get(name).and_then(Value::as_f64).unwrap_or_default();
        let text = match request.name.as_ref() {
            "echo" => arguments.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            "add" => (number("a") + number("b")).to_string(),
            "slow" => {
                notify(&context, number("progress") as u64).await;
                tokio::time::sleep(Duration::from_secs_f64(number("seconds"))).await;
                "done".to_owned()
            }
            "big" => "x".repeat(number("bytes") as usize),
            "progress" => {
                notify(&context, number("count") as u64).await;
                "done".to_owned()
            }
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("failed as asked")]).into()),
            unknown => return Err(ErrorData::invalid_params(format!("unknown tool: {unknown}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

async fn notify(context: &RequestContext<RoleServer>, count: u64) {
    let Some(token) = context.meta.get_progress_token() else { return };
    for step in 1..=count {
        let notice = ProgressNotificationParam::new(token.clone(), step as f64).with_total(count as f64);
        if context.peer.notify_progress(notice).await.is_err() {
            return;
        }
    }
}

fn described((name, description, arguments): &(&'static str, &'static str, &[&str])) -> Tool {
    let kind = if *name == "echo" { "string" } else { "number" };
    let properties: Map<String, Value> =
        arguments.iter().map(|argument| ((*argument).to_owned(), json!({"type": kind}))).collect();
    let schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
    ]);
    Tool::new(*name, *description, schema)
}

/// Name, description and arguments.
const TOOLS: [(&str, &str, &[&str]); 6] = [
    ("echo", "Answers with the message", &["message"]),
    ("add", "Answers with the sum", &["a", "b"]),
    ("slow", "Answers after some seconds, with so many progress notifications", &["seconds", "progress"]),
    ("big", "Answers with so many bytes of text", &["bytes"]),
    ("fail", "Answers that the tool failed", &[]),
    ("progress", "Answers after so many progress notifications", &["count"]),
];
