//! What a caller does next: drawn from its seed alone, so that a round asks the same again.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};
use uuid::Uuid;

use crate::{campaign::random, history::Line};

/// The seeded products: dear, plenty, nearly sold out, few. The third is the one that everybody wants.
const PRODUCTS: [u128; 4] = [1, 2, 3, 4];
const WEIGHTS: [u32; 4] = [2, 4, 5, 3];

/// How long a caller waits and how often it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The deadline of each call.
    pub deadline: Duration,
    /// How often it calls at most.
    pub calls: u32,
}

/// Something that a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Places orders, all at once: a burst if there are several. Some are asked for twice at the same time.
    Order {
        /// The orders.
        orders: Vec<Wanted>,
        /// How patient the caller is.
        patience: Patience,
    },
    /// Cancels one of the orders placed so far, counted from the last.
    Cancel {
        /// Which.
        back: usize,
    },
    /// Pays one of the orders placed so far, counted from the last, if it can be paid yet.
    Pay {
        /// Which.
        back: usize,
    },
    /// Counts the shelf anew.
    SetStock {
        /// The request's id.
        request_id: Uuid,
        /// Which product.
        product_id: Uuid,
        /// How many there shall be.
        quantity: i64,
    },
    /// Puts some on the shelf, or takes some off.
    AdjustStock {
        /// The request's id.
        request_id: Uuid,
        /// Which product.
        product_id: Uuid,
        /// How many more.
        difference: i64,
    },
    /// Adds a product and removes it; between that, if it is wanted, puts some on the shelf, orders one, and cancels that.
    TryProduct {
        /// The id of the request that adds it, and its SKU.
        request_id: Uuid,
        /// Who wants it.
        wanted: Option<Trial>,
    },
    /// Adds a user and removes them; before that they may order.
    TryUser {
        /// The id of the request that adds them, and their address.
        request_id: Uuid,
        /// What they order.
        wanted: Option<Wanted>,
    },
}

/// Somebody who wants a product that is only just sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The id of the request that puts some on the shelf.
    pub restock_id: Uuid,
    /// The id of the request that orders it.
    pub order_id: Uuid,
    /// Who orders.
    pub user_id: Uuid,
}

/// An order that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The request's id.
    pub request_id: Uuid,
    /// Who orders.
    pub user_id: Uuid,
    /// What.
    pub lines: Vec<Line>,
    /// Whether it is asked for twice at the same time.
    pub twice: bool,
}

/// What one caller does, without end.
#[derive(Debug)]
pub struct Acts(StdRng);

impl Acts {
    /// Those of caller `number` in the round of `seed`.
    #[must_use]
    pub fn new(seed: u64, number: usize) -> Self {
        Self(random(seed, &format!("caller {number}")))
    }

    /// How long the caller waits before its next act: long enough that orders come through meanwhile.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(self.0.random_range(100..800))
    }

    fn order(&mut self) -> Act {
        let count = if self.0.random_ratio(1, 25) { 8 } else { 1 };
        let orders = (0..count).map(|_| self.wanted()).collect();
        let is_impatient = self.0.random_ratio(1, 5);
        let deadline = if is_impatient { self.0.random_range(2..60) } else { 4_000 };
        let patience = Patience {
            deadline: Duration::from_millis(deadline),
            // Some walk away without knowing.
            calls: if self.0.random_ratio(1, 6) { 1 } else { 4 },
        };
        Act::Order { orders, patience }
    }

    fn wanted(&mut self) -> Wanted {
        let first = self.product();
        let mut lines = vec![self.line(first)];
        if self.0.random_ratio(1, 3) {
            let second = self.product();
            if second != first {
                let line = self.line(second);
                lines.push(line);
            }
        }
        Wanted {
            request_id: self.id(),
            user_id: self.user(),
            lines,
            twice: self.0.random_ratio(1, 12),
        }
    }

    fn try_product(&mut self) -> Act {
        let request_id = self.id();
        let wanted = self.0.random_ratio(1, 2).then(|| Trial {
            restock_id: self.id(),
            order_id: self.id(),
            user_id: self.user(),
        });
        Act::TryProduct { request_id, wanted }
    }

    fn try_user(&mut self) -> Act {
        let request_id = self.id();
        let wanted = self.0.random_ratio(1, 2).then(|| self.wanted());
        Act::TryUser { request_id, wanted }
    }

    /// Some want more than is there, of the dear ones more than the provider lets them pay.
    fn line(&mut self, product_id: Uuid) -> Line {
        let quantity = if self.0.random_ratio(1, 10) { 3 } else { self.0.random_range(1..=2) };
        Line { product_id, quantity }
    }

    /// Seldom one that nobody knows.
    fn product(&mut self) -> Uuid {
        if self.0.random_ratio(1, 25) {
            return self.id();
        }
        let mut drawn = self.0.random_range(0..WEIGHTS.iter().sum());
        for (number, weight) in PRODUCTS.into_iter().zip(WEIGHTS) {
            if drawn < weight {
                return product(number);
            }
            drawn -= weight;
        }
        product(PRODUCTS[0])
    }

    /// Seldom somebody whom nobody knows.
    fn user(&mut self) -> Uuid {
        if self.0.random_ratio(1, 40) { self.id() } else { user(self.0.random_range(1..=5)) }
    }

    /// One of the last orders, which are still under way, or any.
    fn back(&mut self) -> usize {
        let most = if self.0.random_ratio(1, 3) { 8 } else { 200 };
        self.0.random_range(0..most)
    }

    /// A UUIDv4 of the seed's making.
    fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }
}

impl Iterator for Acts {
    type Item = Act;

    fn next(&mut self) -> Option<Act> {
        Some(match self.0.random_range(0..100) {
            0..50 => self.order(),
            50..61 => Act::Cancel { back: self.back() },
            61..85 => Act::Pay { back: self.back() },
            85..90 => Act::SetStock {
                request_id: self.id(),
                product_id: product(3),
                quantity: self.0.random_range(0..20),
            },
            90..94 => Act::AdjustStock {
                request_id: self.id(),
                product_id: product(PRODUCTS[self.0.random_range(0..PRODUCTS.len())]),
                difference: self.0.random_range(-3..=12),
            },
            94..97 => self.try_product(),
            _ => self.try_user(),
        })
    }
}

fn product(number: u128) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_9000_0000_0000_0000 + number)
}

fn user(number: u128) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_asks_the_same_again_and_another_asks_something_else() {
        let acts = |seed, number| Acts::new(seed, number).take(50).collect::<Vec<_>>();
        assert_eq!(acts(1, 0), acts(1, 0));
        assert_ne!(acts(1, 0), acts(1, 1));
        assert_ne!(acts(1, 0), acts(2, 0));
    }

    #[test]
    fn the_products_are_those_of_the_seed_data() {
        assert_eq!(product(3).to_string(), "01990000-0000-7000-9000-000000000003");
        assert_eq!(user(5).to_string(), "01990000-0000-7000-8000-000000000005");
    }
}
