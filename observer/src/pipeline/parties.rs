//! Who is at the ends of a connection: processes, addresses, and the names that they gave themselves.

use super::Pipeline;
use super::connection::Connection;
use super::input::ProcessId;
use super::mcp::session::{Declared, Parties};
use super::observation::Peer;
use super::pairing::scope::hash;
use super::reassembly::twin::{ConnectionId, End, Medium};

impl Pipeline {
    /// The client or the server of a connection.
    pub(super) fn party(&self, connection: &Connection, client: bool) -> Peer {
        let end = connection.client.map(|end| if client { end } else { end.other() });
        end.map(|end| self.peer_of(connection, end)).unwrap_or_default()
    }

    /// Who is at `end` of a connection.
    pub(super) fn peer(&self, id: ConnectionId, end: End) -> Peer {
        self.connections.value(&id).map(|connection| self.peer_of(connection, end)).unwrap_or_default()
    }

    pub(super) fn peer_of(&self, connection: &Connection, end: End) -> Peer {
        let mut process = connection.process(end);
        let mut address = address(connection, end);
        if let Some(place) = connection.socket
            && let Some(own) = place.end
            && let Some(socket) = self.connections.value(&place.connection)
        {
            // A TLS object is at end A; the socket's far end is its end B.
            let on_socket = if end == End::A { own } else { own.other() };
            process = process.or_else(|| socket.process(on_socket));
            address = address.or_else(|| self::address(socket, on_socket));
        }
        let declared = self.declared(connection, end, process);
        Peer {
            name: declared.name,
            version: declared.version,
            process: process.map(|process| self.processes.process(process)),
            address,
        }
    }

    fn declared(&self, connection: &Connection, end: End, process: Option<ProcessId>) -> Declared {
        let is_client = connection.client.is_none_or(|client| client == end);
        let session = connection.exchanges.front().and_then(|exchange| exchange.session);
        let session =
            session.and_then(|session| self.sessions.value(&session)).map(|session| &session.parties);
        let of = |parties: &Parties| if is_client { parties.client.clone() } else { parties.server.clone() };
        let told = session.map(of).filter(|declared| declared.name.is_some());
        let told = told.unwrap_or_else(|| of(&connection.parties));
        if is_client || told.name.is_some() {
            return told;
        }
        process.and_then(|process| self.servers.declared(process).cloned()).unwrap_or_default()
    }
}

/// A number for where a party is, the same on all its connections: a server's address or process, a client's process
/// or host.
pub(super) fn whereabouts(peer: &Peer, is_server: bool) -> u64 {
    let process = peer.process.as_ref().map(|process| process.id);
    match (is_server, peer.address, process) {
        (true, Some(address), _) => hash(&address),
        (_, _, Some(process)) => hash(&process),
        (false, Some(address), None) => hash(&address.ip()),
        (_, None, None) => 0,
    }
}

fn address(connection: &Connection, end: End) -> Option<std::net::SocketAddr> {
    match connection.medium {
        Medium::Tcp([a, b]) => Some(if end == End::A { a } else { b }),
        _ => None,
    }
}
