//! The map of the pipeline: it holds so many entries and no more, and keeps them in order.

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{BuildHasher as _, Hash};

use hashbrown::HashTable;

/// A map that holds at most so many entries; the oldest goes first. Iteration is in order of insertion.
#[derive(Debug)]
pub struct Table<K, V> {
    /// The seats of the entries, with their keys.
    index: HashTable<(K, u32)>,
    seats: Vec<Seat<K, V>>,
    /// Seats without an entry.
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    /// The seat that was found last: most questions come in rows about the same entry.
    found: Cell<u32>,
    limit: usize,
}

/// Place of an entry, with the places of those that are next to it in age.
#[derive(Debug)]
struct Seat<K, V> {
    entry: Option<(K, V)>,
    older: u32,
    newer: u32,
}

/// There is no such seat.
const NONE: u32 = u32::MAX;

impl<K: Clone + Eq + Hash, V> Table<K, V> {
    /// An empty table for at most `limit` entries.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, NONE as usize);
        Self {
            index: HashTable::new(),
            seats: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            found: Cell::new(NONE),
            limit,
        }
    }

    /// Puts `value` under `key`, as the newest entry. Returns the entry that had to go: the one replaced, or at
    /// the limit the oldest.
    #[must_use]
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        if let Some(seat) = self.seat(&key) {
            self.unlink(seat);
            self.link(seat);
            return self.at(seat)?.entry.replace((key, value));
        }
        let gone = if self.is_full() { self.pop_oldest() } else { None };
        let seat = self.take_seat((key.clone(), value));
        self.link(seat);
        self.index.insert_unique(hash(&key), (key, seat), |(key, _)| hash(key));
        gone
    }

    /// Takes the oldest entry out.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        let seat = self.oldest;
        let hash = hash(self.oldest()?.0);
        self.index.find_entry(hash, |(_, other)| *other == seat).ok()?.remove();
        self.leave(seat)
    }

    /// The oldest entry.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.seats.get(self.oldest as usize)?.entry.as_ref().map(|(key, value)| (key, value))
    }

    /// The value under `key`.
    pub fn value<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let seat = self.seat(key)?;
        self.seats.get(seat as usize)?.entry.as_ref().map(|(_, value)| value)
    }

    /// The value under `key`, to be changed.
    pub fn value_mut(&mut self, key: &K) -> Option<&mut V> {
        let seat = self.seat(key)?;
        self.at(seat)?.entry.as_mut().map(|(_, value)| value)
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let found = self.index.find_entry(hash(key), |(other, _)| other == key);
        let ((_, seat), _) = found.ok()?.remove();
        self.leave(seat).map(|(_, value)| value)
    }

    /// Keys, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let seat = self.seats.get(next as usize)?;
            next = seat.newer;
            seat.entry.as_ref().map(|(key, _)| key)
        })
    }

    /// Makes the entry of `key` the newest.
    pub fn renew(&mut self, key: &K) {
        if let Some(seat) = self.seat(key) {
            self.unlink(seat);
            self.link(seat);
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the next new entry costs the oldest.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn seat<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        let last = self.found.get();
        let entry = self.seats.get(last as usize).and_then(|seat| seat.entry.as_ref());
        if entry.is_some_and(|(found, _)| found.borrow() == key) {
            return Some(last);
        }
        let (_, seat) = self.index.find(hash(key), |(other, _)| other.borrow() == key)?;
        self.found.set(*seat);
        Some(*seat)
    }

    fn at(&mut self, seat: u32) -> Option<&mut Seat<K, V>> {
        self.seats.get_mut(seat as usize)
    }

    fn take_seat(&mut self, entry: (K, V)) -> u32 {
        let new = Seat { entry: Some(entry), older: NONE, newer: NONE };
        let Some(seat) = self.free.pop() else {
            self.seats.push(new);
            return self.seats.len() as u32 - 1;
        };
        if let Some(free) = self.at(seat) {
            *free = new;
        }
        seat
    }

    fn leave(&mut self, seat: u32) -> Option<(K, V)> {
        self.unlink(seat);
        self.free.push(seat);
        self.at(seat)?.entry.take()
    }

    /// Puts a seat behind the newest.
    fn link(&mut self, seat: u32) {
        let older = std::mem::replace(&mut self.newest, seat);
        if let Some(it) = self.at(seat) {
            (it.older, it.newer) = (older, NONE);
        }
        match self.at(older) {
            Some(older) => older.newer = seat,
            None => self.oldest = seat,
        }
    }

    /// Joins those before and behind a seat.
    fn unlink(&mut self, seat: u32) {
        let Some(&mut Seat { older, newer, .. }) = self.at(seat) else { return };
        match self.at(older) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.at(newer) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }
}

/// The same in every run.
fn hash(key: &(impl Hash + ?Sized)) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn the_oldest_goes_at_the_limit() {
        let mut table = Table::new(2);
        assert_eq!(table.insert('a', 1), None);
        assert_eq!(table.insert('b', 2), None);
        assert_eq!(table.insert('a', 3), Some(('a', 1)), "replaced, and newest again");
        assert_eq!(table.insert('c', 4), Some(('b', 2)));
        assert_eq!(table.keys().copied().collect::<String>(), "ac");
        table.renew(&'a');
        assert_eq!(table.keys().copied().collect::<String>(), "ca");
        table.renew(&'c');
        assert_eq!(table.remove(&'a'), Some(3));
        assert_eq!(table.pop_oldest(), Some(('c', 4)));
        assert!(table.is_empty());
    }

    #[test]
    fn seats_are_taken_again() {
        let mut table = Table::new(4);
        for number in 0..1000 {
            let _ = table.insert(number, number);
            if number % 3 == 0 {
                assert_eq!(table.remove(&number), Some(number));
            }
            if number % 5 == 0 {
                table.renew(&(number - 1));
            }
            let keys: Vec<_> = table.keys().copied().collect();
            assert!(keys.iter().all(|key| table.value(key) == Some(key)), "{keys:?}");
            assert_eq!(table.oldest().map(|(key, _)| *key), keys.first().copied());
            assert_eq!(keys.len(), table.len());
        }
        assert_eq!(table.seats.len(), 4);
    }
}
