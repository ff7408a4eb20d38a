//! Lists a page at a time (AIP-158). Every list of ours is in the order of its rows' ids, so a page begins after an id;
//! the token carries that id and a hash of the list's name and filters, so that it is refused by another list and with other
//! filters.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Name;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::request::Violations;

const DEFAULT_SIZE: u16 = 50;
const MAX_SIZE: u16 = 1_000;
const HASH_LENGTH: usize = 8;

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    size: u16,
    after: Option<Uuid>,
    filter_hash: [u8; HASH_LENGTH],
}

impl Page {
    /// Reads `page_size` and `page_token`. `filter` is the request with both left empty. What is wrong is noted.
    pub fn parse(
        violations: &mut Violations,
        page_size: i32,
        page_token: &str,
        filter: &impl Name,
    ) -> Option<Self> {
        let filter_hash = hash(filter);
        let size = match u16::try_from(page_size.min(MAX_SIZE.into())) {
            Ok(0) => Some(DEFAULT_SIZE),
            Ok(size) => Some(size),
            Err(_) => {
                violations.add("page_size", "must not be negative");
                None
            }
        };
        let after = if page_token.is_empty() {
            Some(None)
        } else {
            decode(page_token, filter_hash).map(Some)
        };
        if after.is_none() {
            violations
                .add("page_token", "must be the next_page_token of a list with the same filters");
        }
        Some(Self { size: size?, after: after?, filter_hash })
    }

    /// How many rows to read: one more than the page holds, which tells whether another page follows.
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// The id after which the page begins; `None` for the first page.
    #[must_use]
    pub fn after(&self) -> Option<Uuid> {
        self.after
    }

    /// Cuts the rows read with [`limit`](Self::limit) to the page and makes the token of the next one, empty at the end.
    #[must_use]
    pub fn cut<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, String) {
        let follows = rows.len() > usize::from(self.size);
        rows.truncate(self.size.into());
        let token = match rows.last() {
            Some(last) if follows => encode(self.filter_hash, id(last)),
            _ => String::new(),
        };
        (rows, token)
    }
}

/// The list's own name is in it too: without filters all requests have the same bytes.
fn hash<F: Name>(filter: &F) -> [u8; HASH_LENGTH] {
    let digest = Sha256::digest([F::full_name().into_bytes(), filter.encode_to_vec()].concat());
    *digest.first_chunk().expect("a SHA-256 has 32 bytes")
}

fn encode(filter_hash: [u8; HASH_LENGTH], after: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([filter_hash.as_slice(), after.as_bytes()].concat())
}

fn decode(token: &str, filter_hash: [u8; HASH_LENGTH]) -> Option<Uuid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (hash, id) = bytes.split_first_chunk::<HASH_LENGTH>()?;
    (*hash == filter_hash).then(|| Uuid::from_slice(id).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(size: i32, token: &str, filter: &String) -> Option<Page> {
        Page::parse(&mut Violations::default(), size, token, filter)
    }

    #[test]
    fn the_sizes_are_those_of_the_rule() {
        let filter = String::new();
        assert_eq!(parse(0, "", &filter).unwrap().limit(), 51);
        assert_eq!(parse(7, "", &filter).unwrap().limit(), 8);
        assert_eq!(parse(i32::MAX, "", &filter).unwrap().limit(), 1_001);
        assert_eq!(parse(-1, "", &filter), None);
    }

    #[test]
    fn a_token_leads_to_the_next_page_of_the_same_list_only() {
        let filter = "laptop".to_owned();
        let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
        let (rows, token) = parse(2, "", &filter).unwrap().cut(ids.clone(), |id| *id);
        assert_eq!(rows, &ids[..2]);
        let next = parse(2, &token, &filter).unwrap();
        assert_eq!(next.after(), Some(ids[1]));
        assert_eq!(next.cut(ids[2..].to_vec(), |id| *id), (vec![ids[2]], String::new()));
        assert_eq!(parse(2, &token, &"screen".to_owned()), None);
        assert_eq!(parse(2, "%", &filter), None);
        let (_, token) = parse(2, "", &String::new()).unwrap().cut(ids, |id| *id);
        assert_eq!(Page::parse(&mut Violations::default(), 2, &token, &0_u64), None);
    }
}
