//! Runs scenarios side by side, prints a line for each as it ends, and closes with `N passed, N failed`. It must not hide
//! a scenario that did not run: such a one fails.

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::environment::in_ci;
use crate::harness::Harness;

/// How a scenario ended, unless it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It held.
    Passed,
    /// It could not be run at all; counted apart, and it fails the run.
    NotRun(String),
    /// It cannot be checked on this server; said loudly, and a failure in CI.
    Skipped(String),
}

type Run = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;
type Start = Box<dyn FnOnce(Arc<Harness>) -> Run + Send>;

/// A named check.
pub struct Scenario {
    name: String,
    limit: Duration,
    start: Start,
}

impl Scenario {
    /// A scenario that passes unless it returns an error.
    pub fn new<F, Fut>(name: impl Into<String>, start: F) -> Self
    where
        F: FnOnce(Arc<Harness>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self::judged(name, |harness| {
            let run = start(harness);
            async move { run.await.map(|()| Outcome::Passed) }
        })
    }

    /// A scenario that may also say that it was skipped or not run.
    pub fn judged<F, Fut>(name: impl Into<String>, start: F) -> Self
    where
        F: FnOnce(Arc<Harness>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Outcome>> + Send + 'static,
    {
        Self { name: name.into(), limit: Duration::from_secs(240), start: Box::new(|harness| Box::pin(start(harness))) }
    }

    /// The same with another time limit.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Which scenarios to run: all whose name contains one of the words, or all.
#[derive(Debug, Clone, Default)]
pub struct Filter(Vec<String>);

impl Filter {
    /// Words as given on the command line; flags are other runners' and mean nothing here.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().filter(|word| !word.starts_with('-')).collect())
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a scenario of this name is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| name.contains(word.as_str()))
    }

    /// Whether a scenario whose name begins with `group` may be wanted.
    #[must_use]
    pub fn may_want(&self, group: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| word.contains(group) || group.contains(word.as_str()))
    }
}

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: Vec<String>,
    not_run: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// Runs `scenarios`, at most `parallel` at a time.
    pub async fn run(&mut self, harness: &Arc<Harness>, filter: &Filter, parallel: usize, scenarios: Vec<Scenario>) {
        let slots = Arc::new(Semaphore::new(parallel));
        let mut running = JoinSet::new();
        for scenario in scenarios.into_iter().filter(|scenario| filter.wants(&scenario.name)) {
            let (harness, slots) = (Arc::clone(harness), Arc::clone(&slots));
            running.spawn(async move {
                // The semaphore is never closed.
                let _slot = slots.acquire_owned().await;
                let begun = Instant::now();
                // A task of its own, so that a panic is this scenario's failure and nobody else's.
                let task = tokio::spawn((scenario.start)(harness));
                let abort = task.abort_handle();
                let result = match tokio::time::timeout(scenario.limit, task).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(panic)) => Err(anyhow::anyhow!("panicked: {panic}")),
                    Err(_) => {
                        abort.abort();
                        Err(anyhow::anyhow!("not finished within {} s", scenario.limit.as_secs()))
                    }
                };
                (scenario.name, result, begun.elapsed())
            });
        }
        while let Some(joined) = running.join_next().await {
            match joined {
                Ok((name, result, took)) => self.note(&name, result, took),
                Err(error) => self.note("a scenario's task", Err(error.into()), Duration::ZERO),
            }
        }
    }

    /// Counts and prints one result.
    pub fn note(&mut self, name: &str, result: Result<Outcome>, took: Duration) {
        let seconds = took.as_secs_f64();
        match result {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                say(&format!("  ok       {name} ({seconds:.1} s)"));
            }
            Ok(Outcome::NotRun(why)) => {
                self.not_run.push(name.to_owned());
                say(&format!("  NOT RUN  {name} ({seconds:.1} s): {why}"));
            }
            Ok(Outcome::Skipped(why)) => {
                self.skipped.push(name.to_owned());
                say(&format!("  SKIPPED  {name}: {why}"));
            }
            Err(error) => {
                self.failed.push(name.to_owned());
                let text = format!("{error:#}").replace('\n', "\n           ");
                say(&format!("  FAILED   {name} ({seconds:.1} s)\n           {text}"));
            }
        }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.not_run.is_empty() && (self.skipped.is_empty() || !in_ci())
    }

    /// Prints the counts; the last line is `e2e: N passed, N failed, N skipped`.
    pub fn close(&self, took: Duration) {
        for (word, names) in [("failed", &self.failed), ("not run", &self.not_run), ("SKIPPED", &self.skipped)] {
            for name in names {
                say(&format!("{word}: {name}"));
            }
        }
        if !self.skipped.is_empty() && in_ci() {
            say("a skipped check is a failure in CI");
        }
        say(&format!("took {:.0} s", took.as_secs_f64()));
        let failed = self.failed.len() + self.not_run.len();
        say(&format!("e2e: {} passed, {failed} failed, {} skipped", self.passed, self.skipped.len()));
    }
}

/// Prints a line at once, whole: scenarios run side by side.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: then there is nobody to tell.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_selects_names_and_groups() {
        let filter = Filter::new(["crash/create".to_owned(), "--nocapture".to_owned()]);
        assert!(filter.wants("crash/create/03 POST secrets before"));
        assert!(!filter.wants("crash/delete/01 PUT x before"));
        assert!(filter.may_want("crash/create") && filter.may_want("crash"));
        assert!(!filter.may_want("story"));
        assert!(Filter::new([]).wants("anything"));
    }

    #[test]
    fn what_did_not_run_is_no_success() {
        let mut report = Report::default();
        report.note("a", Ok(Outcome::Passed), Duration::ZERO);
        assert!(report.is_good());
        report.note("b", Ok(Outcome::NotRun("the call never came".to_owned())), Duration::ZERO);
        assert!(!report.is_good());
    }
}
