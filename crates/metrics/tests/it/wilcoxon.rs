use duomo_metrics::{Alternative, Method, WilcoxonOptions, ZeroMethod, wilcoxon};
use serde_json::Value;

use crate::fixtures::read_json;

#[test]
fn agrees_with_scipy() {
    let fixture = read_json("wilcoxon.json");
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let sample = |key: &str| serde_json::from_value::<Vec<f64>>(case[key].clone()).unwrap();
        let (first, second) = (sample("x"), sample("y"));
        for expected in case["results"].as_array().unwrap() {
            // A continuity correction is not offered.
            if expected["correction"] == true {
                continue;
            }
            let at = format!("{} {expected}", case["id"]);
            let test = wilcoxon(&first, &second, options(expected)).unwrap();

            assert_close(Some(test.statistic), &expected["statistic"], &at);
            // With ties or zeros scipy's `exact` is not exact; the fixture has the true value too.
            let p_value = match expected["method"].as_str() {
                Some("exact") if !expected["p_exact_conditional"].is_null() => {
                    &expected["p_exact_conditional"]
                }
                _ => &expected["pvalue"],
            };
            assert_close(test.p_value, p_value, &at);
            if expected["method"] == "asymptotic" {
                assert_close(test.z, &expected["zstatistic"], &at);
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 23 * 15);
}

fn options(expected: &Value) -> WilcoxonOptions {
    WilcoxonOptions {
        zero_method: match expected["zero_method"].as_str().unwrap() {
            "wilcox" => ZeroMethod::Wilcox,
            "pratt" => ZeroMethod::Pratt,
            "zsplit" => ZeroMethod::ZeroSplit,
            name => panic!("unknown zero method {name}"),
        },
        alternative: match expected["alternative"].as_str().unwrap() {
            "two-sided" => Alternative::TwoSided,
            "less" => Alternative::Less,
            "greater" => Alternative::Greater,
            name => panic!("unknown alternative {name}"),
        },
        method: match expected["method"].as_str().unwrap() {
            "auto" => Method::Auto,
            "exact" => Method::Exact,
            "asymptotic" => Method::Normal,
            name => panic!("unknown method {name}"),
        },
    }
}

/// Compares to 1e-9; `None` stands for NaN.
fn assert_close(found: Option<f64>, expected: &Value, at: &str) {
    match found {
        None => assert_eq!(expected, "nan", "{at}"),
        Some(found) => {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{at}: {found}");
        }
    }
}
