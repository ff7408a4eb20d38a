//! `lab bench relay`, small: that it measures everything, and that it notices when there is nothing to measure.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// Runs it without Debezium; answers its report, or what it complains of.
fn bench(out: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["bench", "relay", "--quick", "--no-debezium", "--output", "json", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn every_figure_of_the_relay_is_measured_and_drawn() {
    let out = std::env::temp_dir().join(format!("store-bench-{}", uuid::Uuid::now_v7()));
    let report = bench(&out, &[]).unwrap();
    let written: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(written, report);
    for (figure, entries, verdicts) in
        [("P-1", 2, 2), ("P-2", 2, 2), ("P-3", 0, 0), ("P-4", 2, 3), ("P-5", 3, 3), ("P-7", 8, 3)]
    {
        let figures = report["figures"].as_array().unwrap();
        let found = figures.iter().find(|found| found["figure"] == figure);
        let found = found.unwrap_or_else(|| panic!("there is no {figure}: {report:#}"));
        let measured = found["entries"].as_object().unwrap();
        assert_eq!(measured.len(), entries, "{found:#}");
        for (entry, measures) in measured {
            for (measure, spread) in measures.as_object().unwrap() {
                let median = spread["median"].as_f64();
                assert!(
                    median.is_some_and(|median| is_sane(measure, median)),
                    "{figure}, {entry}, {measure}: {spread}"
                );
            }
        }
        let judged = found["verdicts"].as_array().unwrap();
        assert_eq!(judged.len(), verdicts, "{found:#}");
        assert!(judged.iter().all(|verdict| verdict["median"].is_f64()), "{found:#}");
        assert_eq!(drawn(&out, figure) > 0, entries > 0, "{figure}");
    }
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_relay_that_does_not_run_is_no_figure() {
    let out = std::env::temp_dir().join(format!("store-bench-{}", uuid::Uuid::now_v7()));
    let arguments = ["--figures", "P-1", "--relay-args", "--page-rows 0"];
    let complaint = bench(&out, &arguments).unwrap_err();
    assert!(complaint.contains("ended after 0 of 25000 records"), "{complaint}");
    assert!(!out.exists());
}

/// Processor time comes in hundredths of a second, so that in so short a run it may be none.
fn is_sane(measure: &str, value: f64) -> bool {
    let may_be_none = measure.ends_with("_us") || measure.ends_with("_per_min");
    value < 1e9 && (value > 0.0 || may_be_none && value == 0.0 || measure == "others_percent")
}

/// How many plots there are of a figure, each of which has something in it.
fn drawn(out: &Path, figure: &str) -> usize {
    let plots = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let plots = plots.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(figure) && name.ends_with(".svg")
    });
    plots
        .inspect(|path| {
            let svg = fs::read_to_string(path).unwrap();
            let shapes = ["<rect", "<polyline"].map(|shape| svg.matches(shape).count());
            assert!(
                svg.trim_end().ends_with("</svg>") && shapes.iter().sum::<usize>() > 5,
                "{svg}"
            );
        })
        .count()
}
