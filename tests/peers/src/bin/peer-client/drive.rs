//! Takes the steps of a script. What becomes of each request is printed by the transport's witness.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use peers::script::Step;
use rmcp::model::{CallToolRequestParams, ClientRequest, PingRequest, Request, RequestOptionalParam};
use rmcp::service::{Peer, PeerRequestOptions};
use rmcp::{RoleClient, ServiceError};

use crate::connect::Client;

/// Asks for the list of tools.
pub async fn list(client: &Client) -> Result<()> {
    client.service.peer().list_tools(None).await?;
    Ok(())
}

/// Makes the requests of one step, so many at once as it says.
pub async fn step(client: &Client, step: &Step) {
    let step = Arc::new(step.clone());
    let left = Arc::new(AtomicUsize::new(step.repeat));
    let mut lanes = Vec::new();
    for _ in 0..step.concurrency.clamp(1, step.repeat.max(1)) {
        let (peer, step, left) = (client.service.peer().clone(), step.clone(), left.clone());
        lanes.push(tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                // An error answer is an outcome like any other, and printed as one.
                let _ = request(&peer, &step).await;
            }
        }));
    }
    for lane in lanes {
        let _ = lane.await;
    }
}

async fn request(peer: &Peer<RoleClient>, step: &Step) -> Result<(), ServiceError> {
    let request: ClientRequest = match step.method.as_str() {
        "ping" => PingRequest::default().into(),
        "tools/list" => ClientRequest::ListToolsRequest(RequestOptionalParam::default()),
        _ => {
            let params = CallToolRequestParams::new(step.tool.clone()).with_arguments(step.arguments.clone());
            ClientRequest::CallToolRequest(Request::new(params))
        }
    };
    let options = match step.timeout_ms {
        Some(timeout) => PeerRequestOptions::with_timeout(Duration::from_millis(timeout)),
        None => PeerRequestOptions::no_options(),
    };
    peer.send_cancellable_request(request, options).await?.await_response().await?;
    Ok(())
}
