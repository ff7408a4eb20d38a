//! Taking the stock of an order: all of its lines, or none.

use proto::ProductId;

/// A line of an order with what is on hand of its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub product_id: ProductId,
    /// How many the order asks for.
    pub quantity: i32,
    /// How many are on hand; `None` if the product is gone.
    pub on_hand: Option<i64>,
    /// The version of the stock; `None` as above.
    pub version: Option<i64>,
}

/// A line's stock after its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub product_id: ProductId,
    /// How many were taken or given back.
    pub quantity: i64,
    /// How many are on hand now.
    pub quantity_after: i64,
    /// The version of the stock now.
    pub version_after: i64,
}

/// A line of which there is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub product_id: ProductId,
    pub available: i64,
    pub required: i32,
    /// The version of the stock, which stays.
    pub version: i64,
}

/// What taking all the lines leads to.
///
/// # Errors
/// The first line that is short. A product that is gone has nothing on hand.
pub fn take(lines: &[Line]) -> Result<Vec<Change>, Shortage> {
    lines
        .iter()
        .map(|line| {
            let available = line.on_hand.unwrap_or(0);
            let quantity = i64::from(line.quantity);
            let version = line.version.unwrap_or(0);
            if available < quantity {
                let (product_id, required) = (line.product_id, line.quantity);
                return Err(Shortage { product_id, available, required, version });
            }
            Ok(Change {
                product_id: line.product_id,
                quantity,
                quantity_after: available - quantity,
                version_after: version + 1,
            })
        })
        .collect()
}

/// What giving all the lines back leads to.
///
/// # Errors
/// The products that are gone: nothing can be given back to them.
pub fn give_back(lines: &[Line]) -> Result<Vec<Change>, Vec<ProductId>> {
    let gone: Vec<_> =
        lines.iter().filter(|line| line.on_hand.is_none()).map(|line| line.product_id).collect();
    if !gone.is_empty() {
        return Err(gone);
    }
    let changes = lines.iter().map(|line| Change {
        product_id: line.product_id,
        quantity: line.quantity.into(),
        quantity_after: line.on_hand.unwrap_or(0).saturating_add(line.quantity.into()),
        version_after: line.version.unwrap_or(0) + 1,
    });
    Ok(changes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: i32, on_hand: Option<i64>) -> Line {
        Line { product_id: ProductId::new(), quantity, on_hand, version: on_hand.map(|_| 7) }
    }

    #[test]
    fn a_short_line_leaves_the_others_alone() {
        let lines = [line(1, Some(1)), line(3, Some(2)), line(9, Some(0))];
        let shortage = take(&lines).unwrap_err();
        assert_eq!(shortage.product_id, lines[1].product_id);
        assert_eq!((shortage.available, shortage.required), (2, 3));
    }

    #[test]
    fn the_last_one_can_be_taken() {
        let changes = take(&[line(2, Some(2))]).unwrap();
        assert_eq!((changes[0].quantity_after, changes[0].version_after), (0, 8));
    }

    #[test]
    fn a_product_that_is_gone_is_short_and_takes_nothing_back() {
        let lines = [line(1, Some(1)), line(1, None)];
        assert_eq!(take(&lines).unwrap_err().available, 0);
        assert_eq!(give_back(&lines).unwrap_err(), [lines[1].product_id]);
    }

    #[test]
    fn giving_back_undoes_taking() {
        let changes = give_back(&[line(2, Some(0))]).unwrap();
        assert_eq!((changes[0].quantity_after, changes[0].version_after), (2, 8));
    }
}
