//! Which streams are the two ends of one connection.
//!
//! In: stream identities. Out: for each stream its [`ConnectionId`] and [`End`]. Only kernel facts join ends: a
//! pipe's inode, a Unix socket's peer, a TCP tuple with its ends swapped.

use std::net::{IpAddr, SocketAddr};

use observer_common::stream::TlsLibrary;

use crate::pipeline::input::{Identity, StreamId};
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
    names: [Option<Name>; 2],
}

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
        Self { places: Table::new(streams), names: Table::new(streams * 2), next: 1 }
    }

    /// Where `stream` belongs.
    pub fn place(&self, stream: StreamId) -> Option<Place> {
        self.places.value(&stream).map(|known| known.place)
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
        [own, twin]: [Option<Name>; 2],
        medium: Medium,
    ) -> (Place, Option<Medium>, Option<ConnectionId>) {
        let mut replaced = None;
        if let Some(named) = own.and_then(|own| self.names.value_mut(&own)) {
            if named.stream.is_none() {
                named.stream = Some(stream);
                return (named.place, None, None); // its twin was here first
            }
            replaced = Some(named.place.connection); // the same name again: a new connection
        }
        let place = self.new_place(Some(End::A));
        let other = Place { end: Some(End::B), ..place };
        if let Some(own) = own {
            let _ = self.names.insert(own, Named { place, stream: Some(stream) });
        }
        if let Some(twin) = twin {
            let _ = self.names.insert(twin, Named { place: other, stream: None });
        }
        (place, Some(medium), replaced)
    }

    /// Forgets a stream.
    pub fn close(&mut self, stream: StreamId) {
        if let Some(known) = self.places.remove(&stream) {
            self.forget_names(&known);
        }
    }

    /// Nobody may join a connection that is over. A name that another connection has by now stays, and that of a
    /// twin that is here.
    fn forget_names(&mut self, Known { place, names: [own, twin] }: &Known) {
        let of_it = |named: &Named| named.place.connection == place.connection;
        if let Some(own) = own.filter(|own| self.names.value(own).is_some_and(of_it)) {
            self.names.remove(&own);
        }
        let awaited = |named: &Named| of_it(named) && named.stream.is_none();
        if let Some(twin) = twin.filter(|twin| self.names.value(twin).is_some_and(awaited)) {
            self.names.remove(&twin);
        }
    }
}

/// The name of a stream's own end and that of its twin.
fn names(identity: &Identity) -> [Option<Name>; 2] {
    match identity {
        Identity::Pipe { .. } | Identity::Tls { .. } => [None; 2],
        Identity::Unix { inode, peer_inode } => {
            [Some(Name::Unix(*inode)), (*peer_inode != 0).then_some(Name::Unix(*peer_inode))]
        }
        Identity::Tcp { namespace, local, peer } => {
            // A loopback address means something within its namespace only.
            let namespace = if is_loopback(local) { *namespace } else { 0 };
            let name = |local, peer| Some(Name::Tcp { namespace, local, peer });
            [name(*local, *peer), name(*peer, *local)]
        }
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(local: &str, peer: &str) -> Identity {
        Identity::Tcp { namespace: 1, local: local.parse().unwrap(), peer: peer.parse().unwrap() }
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
        assert_ne!(
            a.place.connection, b.place.connection,
            "two names for one pair are not guessed to be one"
        );
        let mut twins = Twins::new(8);
        let a = twins.open(StreamId(1), &Identity::Unix { inode: 10, peer_inode: 11 });
        let b = twins.open(StreamId(2), &Identity::Unix { inode: 11, peer_inode: 0 });
        assert_eq!(a.place.connection, b.place.connection);
    }
}
