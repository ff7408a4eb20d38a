//! The matrix of delivery.md, fault × promise × test: each fault that there is stands in one row, and each row has faults.

use lab::{
    campaign,
    chaos::{Relay, faults::catalogue},
};

use super::{read, rows};

#[test]
fn delivery_md_has_each_fault_in_one_row_with_its_promises_and_tests() {
    let matrix = rows(&read("docs/delivery.md"), "Fault");
    let mut wrong = Vec::new();
    let faults = faults();
    for fault in &faults {
        let of_it =
            matrix.iter().filter(|row| patterns(row).any(|pattern| matches(pattern, fault)));
        let count = of_it.count();
        if count != 1 {
            wrong.push(format!("{fault} stands in {count} rows"));
        }
    }
    for row in &matrix {
        for pattern in patterns(row) {
            if !faults.iter().any(|fault| matches(pattern, fault)) {
                wrong.push(format!("there is no fault {pattern}"));
            }
        }
        if !row[2].contains("I-") || row[3].matches('_').count() < 2 {
            wrong.push(format!("{} has no promise or no test", row[0]));
        }
    }
    assert!(wrong.is_empty(), "delivery.md, faults:\n{}", wrong.join("\n"));
}

/// Those of `lab chaos` with either relay, and those of `lab soak`.
fn faults() -> Vec<String> {
    let chaos = [Relay::OutboxRelay, Relay::Debezium].into_iter().flat_map(catalogue);
    let soak = campaign::Fault::all().map(|fault| format!("soak {fault}"));
    let mut all: Vec<String> = chaos.map(|fault| fault.name()).chain(soak).collect();
    all.sort();
    all.dedup();
    all
}

fn patterns(row: &[String]) -> impl Iterator<Item = &str> {
    row[0].split(", ")
}

/// A `*` in a pattern stands for any text without a dot or a colon.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let between = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    between.is_some_and(|text| !text.contains(['.', ':', ' ']))
}
