//! Reads OpenMetrics text as strictly as its specification is written, for what the operator shows. Knows no metric; trusts nothing that it reads.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample: names and values.
pub type Labels = Vec<(String, String)>;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of its family.
    pub family: String,
    /// What its name has beyond that: `_total`, `_bucket`…
    pub suffix: String,
    /// Its labels, in their order.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What was shown at one scrape.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The samples, in their order.
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// Reads a text; what breaks a rule is told with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("the text must end with # EOF")?;
        let mut shown = Self::default();
        let (mut current, mut seen) = (String::new(), BTreeSet::new());
        for line in body.lines() {
            let fault = |what: &str| Err(format!("{what}: {line}"));
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (Some(keyword), Some(name), Some(told)) = (words.next(), words.next(), words.next()) else {
                    return fault("a line of metadata has three parts");
                };
                if name != current && shown.types.contains_key(name) {
                    return fault("a family is told twice");
                }
                name.clone_into(&mut current);
                match keyword {
                    "HELP" if told.ends_with('.') => {}
                    "TYPE" if ["counter", "gauge", "histogram", "info"].contains(&told) => {
                        shown.types.insert(name.to_owned(), told.to_owned());
                    }
                    "UNIT" if name.ends_with(&format!("_{told}")) => {}
                    _ => return fault("no such metadata"),
                }
                continue;
            }
            let Some(sample) = sample(line, &current, &shown.types) else { return fault("not a sample of its family") };
            if !seen.insert((sample.suffix.clone(), current.clone(), sample.labels.clone())) {
                return fault("a series is shown twice");
            }
            shown.samples.push(sample);
        }
        shown.histograms_add_up()?;
        Ok(shown)
    }

    /// Buckets are cumulative, and the last one holds all.
    fn histograms_add_up(&self) -> Result<(), String> {
        let mut last: BTreeMap<(&str, Labels), (f64, f64)> = BTreeMap::new();
        for sample in self.samples.iter().filter(|sample| sample.suffix == "_bucket") {
            let bound = sample.label("le").and_then(|bound| bound.parse::<f64>().ok()).ok_or("a bucket without a bound")?;
            let (before, counted) =
                last.insert((&sample.family, sample.without("le")), (bound, sample.value)).unwrap_or((f64::NEG_INFINITY, 0.0));
            if bound <= before || sample.value < counted {
                return Err(format!("buckets must rise: {sample:?}"));
            }
        }
        for sample in self.samples.iter().filter(|sample| sample.suffix == "_count" && self.types[&sample.family] == "histogram") {
            if last.get(&(sample.family.as_str(), sample.labels.clone())) != Some(&(f64::INFINITY, sample.value)) {
                return Err(format!("the last bucket must hold all: {sample:?}"));
            }
        }
        Ok(())
    }

    /// The values of a family, by the values of its labels. Of a histogram: how many were observed.
    pub fn of(&self, family: &str) -> BTreeMap<Vec<&str>, f64> {
        let samples =
            self.samples.iter().filter(|sample| sample.family == family && matches!(sample.suffix.as_str(), "" | "_total" | "_count"));
        samples.map(|sample| (sample.labels.iter().map(|(_, value)| value.as_str()).collect(), sample.value)).collect()
    }

    /// All values of a family together; none if it has no series.
    pub fn sum(&self, family: &str) -> Option<f64> {
        let values = self.of(family);
        (!values.is_empty()).then(|| values.values().sum())
    }

    /// One value of a family; none if there is no such series.
    pub fn value(&self, family: &str, labels: &[&str]) -> Option<f64> {
        self.of(family).get(labels).copied()
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// Its labels but one.
    pub fn without(&self, name: &str) -> Labels {
        self.labels.iter().filter(|(label, _)| label != name).cloned().collect()
    }
}

fn sample(line: &str, family: &str, types: &BTreeMap<String, String>) -> Option<Sample> {
    let (series, value) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, value) = labels(rest)?;
            ((name, labels), value)
        }
        None => {
            let (name, value) = line.split_once(' ')?;
            ((name, vec![]), value)
        }
    };
    let (name, labels) = series;
    let suffix = name.strip_prefix(family)?;
    let suffixes: &[&str] = match types.get(family)?.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &["_info"],
    };
    let value: f64 = value.parse().ok()?;
    let sound = suffixes.contains(&suffix) && value.is_finite() && (suffix.is_empty() || value >= 0.0);
    sound.then(|| Sample { family: family.to_owned(), suffix: suffix.to_owned(), labels, value })
}

/// The labels behind an opening brace, and what comes after the closing one.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels: Labels = vec![];
    let mut rest = text;
    loop {
        let (name, quoted) = rest.split_once("=\"")?;
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return None;
        }
        let (mut value, mut letters) = (String::new(), quoted.char_indices());
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    letter @ ('"' | '\\') => letter,
                    _ => return None,
                }),
                (_, letter) => value.push(letter),
            }
        };
        if labels.iter().any(|(other, _)| other == name) {
            return None;
        }
        labels.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((labels, rest.strip_prefix("} ")?)),
        }
    }
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let sound = "# HELP a Help.\n# TYPE a gauge\na{b=\"\\\"}, c=\"} 1\n# EOF\n";
    assert_eq!(Exposition::parse(sound).expect("it is sound").value("a", &["\"}, c="]), Some(1.0));
    for (change, to) in [
        ("# EOF\n", ""),
        ("a{", "b{"),
        ("} 1", "} one"),
        ("} 1", "} NaN"),
        ("gauge", "counter"),
        ("b=", "b b="),
        ("# EOF", "a{b=\"\\\"}, c=\"} 1\n# EOF"),
        ("# EOF", "# HELP b B.\n# TYPE b gauge\n# HELP a Again.\n# EOF"),
    ] {
        let broken = sound.replacen(change, to, 1);
        assert!(Exposition::parse(&broken).is_err(), "{broken}");
    }
    let histogram = |buckets: &str| format!("# HELP h H.\n# TYPE h histogram\nh_sum 3\nh_count 2\n{buckets}# EOF\n");
    assert!(Exposition::parse(&histogram("h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n")).is_ok());
    for broken in ["", "h_bucket{le=\"+Inf\"} 1\n", "h_bucket{le=\"1.0\"} 3\nh_bucket{le=\"+Inf\"} 2\n"] {
        assert!(Exposition::parse(&histogram(broken)).is_err(), "{broken}");
    }
}
