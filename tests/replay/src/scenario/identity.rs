//! What tells the kernel's streams of a scenario from each other.

use std::net::{IpAddr, SocketAddr};

use observer_common::stream::{StreamIdentity, StreamKind};

pub(super) fn fresh() -> StreamIdentity {
    StreamIdentity::default()
}

pub(super) fn tcp(local: &str, peer: &str) -> StreamIdentity {
    let [local, peer] = [local, peer].map(|address| address.parse::<SocketAddr>().expect("an address"));
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    StreamIdentity {
        kind: StreamKind::Tcp as u32,
        network_namespace: 4_026_531_840,
        local_port: local.port(),
        peer_port: peer.port(),
        local: octets(local),
        peer: octets(peer),
        ..fresh()
    }
}

/// The bytes of the `repr(C)` struct.
pub(super) fn identity_bytes(identity: &StreamIdentity) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of::<StreamIdentity>());
    bytes.extend(identity.kind.to_ne_bytes());
    bytes.extend(identity.device.to_ne_bytes());
    bytes.extend(identity.inode.to_ne_bytes());
    bytes.extend(identity.peer_inode.to_ne_bytes());
    bytes.extend(identity.generation.to_ne_bytes());
    bytes.extend(identity.network_namespace.to_ne_bytes());
    bytes.extend(identity.local_port.to_ne_bytes());
    bytes.extend(identity.peer_port.to_ne_bytes());
    bytes.extend(identity.local);
    bytes.extend(identity.peer);
    bytes.extend(identity.sent_from.to_ne_bytes());
    bytes.extend(identity.received_from.to_ne_bytes());
    assert_eq!(bytes.len(), size_of::<StreamIdentity>(), "a member is missing here");
    bytes
}
