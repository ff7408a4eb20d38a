//! The keys that wait for an operator: from one number on, nothing of theirs is sent.
//!
//! An event that Kafka refuses for good parks its topic and key. Its followers are read past and stay in the table, so that what
//! is remembered does not grow with them.

use std::collections::BTreeMap;

use uuid::Uuid;

/// Since when and why a key waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParkedKey {
    /// The number of the event that was refused: from here on nothing of the key has been sent.
    pub(crate) first: i64,
    /// That event.
    pub(crate) event_id: Uuid,
    /// When it was refused, in milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// Whether nothing is wrong with it but that its topic is missing: it is sent by itself once the topic is there.
    pub(crate) topic_is_missing: bool,
    /// What Kafka says.
    pub(crate) reason: String,
}

/// All parked keys of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Parked {
    /// Topic to key to what is known of it.
    topics: BTreeMap<String, BTreeMap<String, ParkedKey>>,
}

impl Parked {
    /// How many keys wait.
    pub(crate) fn len(&self) -> usize {
        self.topics.values().map(BTreeMap::len).sum()
    }

    /// What waits there, if anything does.
    pub(crate) fn get(&self, topic: &str, key: &str) -> Option<&ParkedKey> {
        self.topics.get(topic)?.get(key)
    }

    /// Whether the row `number` of this key has to wait.
    pub(crate) fn holds(&self, topic: &str, key: &str, number: i64) -> bool {
        !self.topics.is_empty() && self.get(topic, key).is_some_and(|parked| parked.first <= number)
    }

    /// The smallest number that waits: everything from it on may be needed again.
    pub(crate) fn first(&self) -> Option<i64> {
        self.topics.values().flat_map(BTreeMap::values).map(|parked| parked.first).min()
    }

    /// Every parked key with its topic, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &ParkedKey)> {
        self.topics.iter().flat_map(|(topic, keys)| {
            keys.iter().map(move |(key, parked)| (topic.as_str(), key.as_str(), parked))
        })
    }

    /// Parks a key, or moves one that is parked.
    pub(crate) fn park(&mut self, topic: &str, key: &str, parked: ParkedKey) {
        self.topics.entry(topic.to_owned()).or_default().insert(key.to_owned(), parked);
    }

    /// Lets a key flow again.
    pub(crate) fn release(&mut self, topic: &str, key: &str) {
        if let Some(keys) = self.topics.get_mut(topic) {
            keys.remove(key);
            if keys.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(first: i64) -> ParkedKey {
        ParkedKey {
            first,
            event_id: Uuid::nil(),
            since_ms: 0,
            topic_is_missing: false,
            reason: "too large".to_owned(),
        }
    }

    #[test]
    fn a_parked_key_holds_its_followers_and_nothing_else() {
        let mut parked = Parked::default();
        parked.park("orders", "a", from(7));
        parked.park("orders", "b", from(3));
        assert!(parked.holds("orders", "a", 7) && parked.holds("orders", "a", 8));
        assert!(!parked.holds("orders", "a", 6), "it was sent before");
        assert!(!parked.holds("stock", "a", 8) && !parked.holds("orders", "c", 8));
        assert_eq!((parked.len(), parked.first()), (2, Some(3)));
        parked.release("orders", "b");
        assert_eq!((parked.len(), parked.first()), (1, Some(7)));
    }
}
