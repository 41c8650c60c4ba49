//! A transport of the Rust SDK that tells what passes through it.

use std::future::Future;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;

use crate::truth::{Call, Direction, Ledger, Line};

/// Wraps a client's transport and prints each call as its answer arrives.
#[derive(Debug)]
pub struct Witness<T> {
    inner: T,
    ledger: Arc<Ledger>,
}

impl<T> Witness<T> {
    /// Watches `inner`; what stays open is the caller's to print from the ledger.
    pub fn new(inner: T, ledger: Arc<Ledger>) -> Self {
        Self { inner, ledger }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Witness<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let message = serde_json::to_value(&item).unwrap_or_default();
        print(self.ledger.passed(Direction::ClientToServer, &message));
        let ledger = self.ledger.clone();
        let sending = self.inner.send(item);
        async move {
            let sent = sending.await;
            if sent.is_err() && message.get("method").is_some() {
                print(ledger.failed(Direction::ClientToServer, &message["id"], "http_error"));
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let item = self.inner.receive().await?;
        let message = serde_json::to_value(&item).unwrap_or(Value::Null);
        print(self.ledger.passed(Direction::ServerToClient, &message));
        Some(item)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Prints calls that have ended.
pub fn print(calls: impl IntoIterator<Item = Call>) {
    for call in calls {
        Line::Call(call).print();
    }
}
