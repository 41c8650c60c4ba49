//! Which streams are the two ends of one connection.
//!
//! In: stream identities. Out: for each stream its [`ConnectionId`] and [`End`]. Only kernel facts join ends: a
//! pipe's inode, a Unix socket's peer, within a network namespace a TCP tuple with its ends swapped, and across
//! namespaces the sequence numbers with which both ways of a TCP connection began.

use std::net::SocketAddr;

use observer_common::stream::TlsLibrary;

use crate::pipeline::input::{Identity, Sequence, StreamId};
use crate::pipeline::limits::Table;

/// Names a connection: one pipe, one pair of connected sockets, or the plaintext side of one TLS object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One end of a connection. For a pipe the writer is `A` and the reader `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The end that was seen first, or a pipe's writer.
    A,
    /// The other one.
    B,
}

impl End {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1, for arrays over both ends.
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// What kind of connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A pipe or FIFO, one way only.
    Pipe {
        /// Whether it has a name: then it outlives its writers.
        named: bool,
    },
    /// Connected Unix stream sockets.
    Unix,
    /// TCP; addresses of ends A and B.
    Tcp([SocketAddr; 2]),
    /// Plaintext of the TLS object at end A; end B is its peer.
    Tls(TlsLibrary),
}

impl Medium {
    /// Whether requests may go on one such connection and their answers on another.
    pub const fn may_be_a_wire(&self) -> bool {
        matches!(self, Self::Pipe { .. } | Self::Unix)
    }
}

/// Where a stream belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its end; `None` for a pipe, which serves both.
    pub end: Option<End>,
}

/// What an end is known by while its twin is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Unix(u64),
    Tcp { namespace: u32, local: SocketAddr, peer: SocketAddr },
    Sequence(Sequence),
}

/// The names of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Names {
    /// Its own.
    own: [Option<Name>; 2],
    /// Those by which its twin may be known.
    twin: [Option<Name>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Named {
    place: Place,
    /// The stream that has this name; `None` while only its twin was seen.
    stream: Option<StreamId>,
}

/// A stream's place, with its own name and its twin's.
#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    names: Names,
}

/// Most names that one stream adds.
const NAMES_EACH: usize = 5;

/// All streams and the connections that they form.
#[derive(Debug)]
pub struct Twins {
    places: Table<StreamId, Known>,
    names: Table<Name, Named>,
    next: u64,
}

/// What a new stream means.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    /// Where it belongs.
    pub place: Place,
    /// The medium, if the connection is new.
    pub opened: Option<Medium>,
    /// A stream that had to be forgotten for it, and its place.
    pub forgotten: Option<(StreamId, Place)>,
    /// A connection whose end this stream took over, or that it was part of before: the old one is over.
    pub replaced: Option<ConnectionId>,
}

impl Twins {
    /// For at most so many streams.
    pub fn new(streams: usize) -> Self {
        Self { places: Table::new(streams), names: Table::new(streams * NAMES_EACH), next: 1 }
    }

    /// Where `stream` belongs.
    pub fn place(&self, stream: StreamId) -> Option<Place> {
        self.places.value(&stream).map(|known| known.place)
    }

    /// How many streams are known.
    pub fn streams(&self) -> usize {
        self.places.len()
    }

    /// The stream that has to go for another one, where there are as many as there may be, and its place.
    pub fn next_to_go(&self) -> Option<(StreamId, Place)> {
        let (stream, known) = self.places.oldest().filter(|_| self.places.is_full())?;
        Some((*stream, known.place))
    }

    /// Lets all others go before this stream.
    pub fn renew(&mut self, stream: StreamId) {
        self.places.renew(&stream);
    }

    /// Takes a stream in.
    pub fn open(&mut self, stream: StreamId, identity: &Identity) -> Joined {
        let names = names(identity);
        let (place, opened, mut replaced) = match *identity {
            Identity::Pipe { named } => (self.new_place(None), Some(Medium::Pipe { named }), None),
            Identity::Tls { library } => (self.new_place(Some(End::A)), Some(Medium::Tls(library)), None),
            Identity::Unix { .. } => self.join(stream, names, Medium::Unix),
            Identity::Tcp { local, peer, .. } => self.join(stream, names, Medium::Tcp([local, peer])),
        };
        let mut forgotten = None;
        if let Some((old, known)) = self.places.insert(stream, Known { place, names }) {
            self.forget_names(&known);
            if old != stream {
                forgotten = Some((old, known.place));
            } else if known.place.connection != place.connection {
                replaced = replaced.or(Some(known.place.connection));
            }
        }
        Joined { place, opened, forgotten, replaced }
    }

    fn new_place(&mut self, end: Option<End>) -> Place {
        let connection = ConnectionId(self.next);
        self.next += 1;
        Place { connection, end }
    }

    fn join(
        &mut self,
        stream: StreamId,
        names: Names,
        medium: Medium,
    ) -> (Place, Option<Medium>, Option<ConnectionId>) {
        let known = |name: &Name| self.names.value(name).copied();
        let told = || names.own.iter().flatten().filter_map(known);
        // Either its twin was here first, or the same name again is a new connection.
        let awaited = told().find(|named| named.stream.is_none()).map(|named| named.place);
        let replaced = told().find(|named| named.stream.is_some()).map(|named| named.place.connection);
        let awaited = awaited.or_else(|| self.beside_its_twin(names));
        let place = awaited.unwrap_or_else(|| self.new_place(Some(End::A)));
        for own in names.own.into_iter().flatten() {
            let _ = self.names.insert(own, Named { place, stream: Some(stream) });
        }
        let replaced = replaced.filter(|old| *old != place.connection);
        if awaited.is_some() {
            return (place, None, replaced);
        }
        let other = Place { end: Some(End::B), ..place };
        for twin in names.twin.into_iter().flatten() {
            let _ = self.names.insert(twin, Named { place: other, stream: None });
        }
        (place, Some(medium), replaced)
    }

    /// The place beside a twin that did not know of this stream: a Unix socket that writes before it is accepted has
    /// no peer yet.
    fn beside_its_twin(&mut self, names: Names) -> Option<Place> {
        let twin = self.names.value(&names.twin.into_iter().flatten().next()?)?;
        let known = self.places.value_mut(&twin.stream?)?;
        if known.names.twin.iter().any(Option::is_some) {
            return None;
        }
        known.names.twin = [names.own[0], None, None];
        Some(Place { end: known.place.end.map(End::other), ..known.place })
    }

    /// Forgets a stream.
    pub fn close(&mut self, stream: StreamId) {
        if let Some(known) = self.places.remove(&stream) {
            self.forget_names(&known);
        }
    }

    /// Nobody may join a connection that is over. A name that another connection has by now stays, and that of a
    /// twin that is here.
    fn forget_names(&mut self, Known { place, names }: &Known) {
        let of_it = |named: &Named| named.place.connection == place.connection;
        for own in names.own.iter().flatten() {
            if self.names.value(own).is_some_and(of_it) {
                self.names.remove(own);
            }
        }
        let awaited = |named: &Named| of_it(named) && named.stream.is_none();
        for twin in names.twin.iter().flatten() {
            if self.names.value(twin).is_some_and(awaited) {
                self.names.remove(twin);
            }
        }
    }
}

/// The names of a stream and those of its twin.
fn names(identity: &Identity) -> Names {
    match *identity {
        Identity::Pipe { .. } | Identity::Tls { .. } => Names::default(),
        Identity::Unix { inode, peer_inode } => Names {
            own: [Some(Name::Unix(inode)), None],
            twin: [(peer_inode != 0).then_some(Name::Unix(peer_inode)), None, None],
        },
        Identity::Tcp { namespace, local, peer, sequence } => {
            let tuple = |local, peer| Some(Name::Tcp { namespace, local, peer });
            let [accepted, connected] = sequence.map(twins_of).map_or([None; 2], |both| both.map(Some));
            Names {
                own: [sequence.map(Name::Sequence), tuple(local, peer)],
                twin: [tuple(peer, local), accepted.map(Name::Sequence), connected.map(Name::Sequence)],
            }
        }
    }
}

/// What the other end has for sequence numbers, if it accepted the connection and if it opened it: the end that opened
/// it counts its SYN among what it sent.
const fn twins_of(Sequence { sent_from, received_from }: Sequence) -> [Sequence; 2] {
    [
        Sequence { sent_from: received_from, received_from: sent_from.wrapping_add(1) },
        Sequence { sent_from: received_from.wrapping_sub(1), received_from: sent_from },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(local: &str, peer: &str) -> Identity {
        let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
        Identity::Tcp { namespace: 1, local, peer, sequence: None }
    }

    /// An end of a connection that began with these sequence numbers, as its kernel counts.
    fn tcp_in(namespace: u32, addresses: [&str; 2], sent_from: u32, received_from: u32) -> Identity {
        let [local, peer] = addresses.map(|address| address.parse().unwrap());
        let sequence = Some(Sequence { sent_from, received_from });
        Identity::Tcp { namespace, local, peer, sequence }
    }

    const CLIENT_SYN: u32 = u32::MAX;
    const SERVER_SYN: u32 = 900;
    const CLIENT: (u32, u32) = (CLIENT_SYN, SERVER_SYN + 1);
    const SERVER: (u32, u32) = (SERVER_SYN + 1, CLIENT_SYN.wrapping_add(1));

    #[test]
    fn ends_in_two_namespaces_are_one_by_their_sequence_numbers() {
        // The client knows the service's address, the server its own and that of a gateway.
        let client = tcp_in(1, ["192.0.2.2:40000", "203.0.113.1:80"], CLIENT.0, CLIENT.1);
        let server = tcp_in(2, ["198.51.100.2:8080", "198.51.100.1:55555"], SERVER.0, SERVER.1);
        for ends in [[&client, &server], [&server, &client]] {
            let mut twins = Twins::new(8);
            let first = twins.open(StreamId(1), ends[0]);
            let second = twins.open(StreamId(2), ends[1]);
            assert_eq!(second.place, Place { end: Some(End::B), ..first.place });
            assert_eq!((second.opened, second.replaced), (None, None));
            twins.close(StreamId(1));
            twins.close(StreamId(2));
            assert!(twins.names.is_empty());
        }
    }

    #[test]
    fn equal_tuples_in_two_namespaces_are_no_proof() {
        let mut twins = Twins::new(8);
        let client =
            twins.open(StreamId(1), &tcp_in(1, ["192.0.2.2:40000", "192.0.2.1:80"], CLIENT.0, CLIENT.1));
        let other = twins.open(StreamId(2), &tcp_in(2, ["192.0.2.1:80", "192.0.2.2:40000"], SERVER.0, 77));
        assert_ne!(client.place.connection, other.place.connection);
        let unknown = Identity::Tcp {
            namespace: 3,
            local: "192.0.2.1:80".parse().unwrap(),
            peer: "192.0.2.2:40000".parse().unwrap(),
            sequence: None,
        };
        assert_ne!(client.place.connection, twins.open(StreamId(3), &unknown).place.connection);
    }

    #[test]
    fn the_two_ends_of_a_loopback_connection_are_one() {
        let mut twins = Twins::new(8);
        let a = twins.open(StreamId(1), &tcp("127.0.0.1:40000", "127.0.0.1:80"));
        let b = twins.open(StreamId(2), &tcp("127.0.0.1:80", "127.0.0.1:40000"));
        assert_eq!(a.place.connection, b.place.connection);
        assert_eq!((a.place.end, b.place.end), (Some(End::A), Some(End::B)));
        assert_eq!(b.opened, None);
    }

    #[test]
    fn a_port_used_again_is_a_new_connection() {
        let mut twins = Twins::new(8);
        let old = twins.open(StreamId(1), &tcp("127.0.0.1:40000", "127.0.0.1:80"));
        twins.open(StreamId(2), &tcp("127.0.0.1:80", "127.0.0.1:40000"));
        let new = twins.open(StreamId(3), &tcp("127.0.0.1:40000", "127.0.0.1:80"));
        let twin = twins.open(StreamId(4), &tcp("127.0.0.1:80", "127.0.0.1:40000"));
        assert_eq!(new.replaced, Some(old.place.connection));
        assert_eq!(twin.place.connection, new.place.connection);
    }

    #[test]
    fn nobody_joins_a_connection_that_is_over() {
        let mut twins = Twins::new(8);
        let old = twins.open(StreamId(1), &tcp("127.0.0.1:40000", "127.0.0.1:80"));
        twins.close(StreamId(1));
        let new = twins.open(StreamId(2), &tcp("127.0.0.1:80", "127.0.0.1:40000"));
        assert_ne!(new.place.connection, old.place.connection);
        assert!(new.opened.is_some());
        twins.close(StreamId(2));
        assert!(twins.names.is_empty());
    }

    #[test]
    fn a_stream_told_of_again_is_not_one_too_many() {
        let mut twins = Twins::new(8);
        let old = twins.open(StreamId(1), &Identity::Pipe { named: false });
        let new = twins.open(StreamId(1), &Identity::Pipe { named: false });
        assert_eq!((new.forgotten, new.replaced), (None, Some(old.place.connection)));
    }

    #[test]
    fn a_socket_pair_joins_when_only_one_end_knows_its_peer() {
        let mut twins = Twins::new(8);
        let a = twins.open(StreamId(1), &Identity::Unix { inode: 10, peer_inode: 0 });
        let b = twins.open(StreamId(2), &Identity::Unix { inode: 11, peer_inode: 10 });
        assert_eq!(b.place, Place { end: Some(End::B), ..a.place }, "written to before it was accepted");
        assert_eq!((b.opened, b.replaced), (None, None));
        let other = twins.open(StreamId(3), &Identity::Unix { inode: 12, peer_inode: 10 });
        assert_ne!(other.place.connection, a.place.connection, "it has its twin");
        (1..=3).for_each(|stream| twins.close(StreamId(stream)));
        assert!(twins.names.is_empty());
        let mut twins = Twins::new(8);
        let a = twins.open(StreamId(1), &Identity::Unix { inode: 10, peer_inode: 11 });
        let b = twins.open(StreamId(2), &Identity::Unix { inode: 11, peer_inode: 0 });
        assert_eq!(a.place.connection, b.place.connection);
    }
}
