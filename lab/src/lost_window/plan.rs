//! Which orders there are, and when the stores are killed with each: drawn from the seed.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use uuid::{Builder, Uuid};

/// The moment between a commit and its event at which a store is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The order is committed.
    Order,
    /// The event is read from the outbox and not sent. The store that has none: as [`Stock`](Self::Stock).
    Event,
    /// The stock is taken and committed; the offset has not moved.
    Stock,
    /// The payment is written down and committed, the provider not asked yet; the offset has not moved. The store that asks the
    /// provider first: as [`Payment`](Self::Payment).
    Request,
    /// What the provider has answered is committed. The same.
    Answer,
    /// The payment is paid and committed.
    Payment,
}

impl Moment {
    /// All, in the order of the road.
    pub const ALL: [Self; 6] =
        [Self::Order, Self::Event, Self::Stock, Self::Request, Self::Answer, Self::Payment];
}

/// An order, and when its store is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// When.
    pub moment: Moment,
    /// Of the caller's request, which is repeated until it is answered.
    pub request_id: Uuid,
    /// How many are ordered.
    pub quantity: i32,
}

/// The time in the ids: any would do, and with the same each time the same seed gives the same ids.
const TIME_MS: u64 = 1_790_000_000_000;

/// `count` kills, in equal parts at each moment, mixed.
#[must_use]
pub fn kills(seed: u64, count: u32) -> Vec<Kill> {
    let mut random = StdRng::seed_from_u64(seed);
    let moments = Moment::ALL.into_iter().cycle();
    let kill = |(moment, number): (Moment, u32)| Kill {
        moment,
        request_id: Builder::from_unix_timestamp_millis(
            TIME_MS + u64::from(number),
            &random.random(),
        )
        .into_uuid(),
        quantity: random.random_range(1..=3),
    };
    let mut kills: Vec<Kill> = moments.zip(0..count).map(kill).collect();
    kills.shuffle(&mut random);
    kills
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_kills_in_equal_parts() {
        assert_eq!(kills(7, 30), kills(7, 30));
        assert_ne!(kills(7, 30), kills(8, 30));
        for moment in Moment::ALL {
            let kills = kills(7, 30);
            assert_eq!(kills.iter().filter(|kill| kill.moment == moment).count(), 5);
        }
    }
}
