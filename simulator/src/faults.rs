//! Planted faults: which call fails next, and how; it must not carry one out.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::operations::Operation;

/// The calls that a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTarget {
    /// Every operation; `*` in JSON.
    Any,
    /// This one, by its name in JSON.
    Only(Operation),
}

impl Serialize for FaultTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("*"),
            Self::Only(operation) => operation.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for FaultTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "*" {
            return Ok(Self::Any);
        }
        Operation::deserialize(serde::de::value::StrDeserializer::new(&name)).map(Self::Only)
    }
}

impl From<Operation> for FaultTarget {
    fn from(operation: Operation) -> Self {
        Self::Only(operation)
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// An error status with the body that the platform documents for it.
    Status,
    /// The call is late by `delayMilliseconds`, and is carried out even if its caller left meanwhile.
    Delay,
    /// No answer ever comes, and the connection stays open.
    Hang,
    /// The call is carried out; its answer stops half-way.
    Truncate,
    /// An HTML page instead of JSON, as proxies send it.
    Html,
    /// The call is carried out, and the connection closes with no answer.
    LostResponse,
    /// The connection closes with no answer, and nothing was done.
    RefuseConnection,
    /// A list that never ends, as fast as it is read, of entries that take far more memory than their text.
    Endless,
    /// One byte ten times a second, without an end.
    Drip,
    /// A small compressed body that unfolds to 25 MiB.
    GzipBomb,
    /// Lists in lists, 100,000 deep.
    Nested,
    /// A redirect (307) to the URL that `body` holds.
    Redirect,
}

/// A fault for the next calls of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Number of the fault, given when it is planted.
    #[serde(default)]
    pub id: u64,
    /// The calls that it is for.
    pub operation: FaultTarget,
    /// How they fail.
    pub kind: FaultKind,
    /// The status of `Status` (default 503) and `Html` (default 502), and of the hostile kinds (default 200, `Redirect` 307).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds for the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The error code instead of the documented one; on the login host the value of `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The body instead of the documented one. A text is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How late the call is: before it is carried out or, with `after`, before it is answered. Every kind honours it.
    #[serde(default)]
    pub delay_milliseconds: u64,
    /// How many calls it hits; 0 means all of them until it is cleared. Default 1.
    #[serde(default = "once")]
    pub count: u32,
    /// How many matching calls pass before the first hit. Default 0.
    #[serde(default)]
    pub skip: u32,
    /// Does it strike after the call was carried out? Default no. (`Truncate` and `LostResponse` always do, `RefuseConnection` never.)
    #[serde(default)]
    pub after: bool,
}

const fn once() -> u32 {
    1
}

impl Fault {
    /// A fault that hits the next call of an operation.
    #[must_use]
    pub fn on(operation: impl Into<FaultTarget>, kind: FaultKind) -> Self {
        Self {
            id: 0,
            operation: operation.into(),
            kind,
            status: None,
            retry_after: None,
            code: None,
            body: None,
            delay_milliseconds: 0,
            count: 1,
            skip: 0,
            after: false,
        }
    }

    /// An error status for the next call of an operation.
    #[must_use]
    pub fn status(operation: impl Into<FaultTarget>, status: u16) -> Self {
        Self { status: Some(status), ..Self::on(operation, FaultKind::Status) }
    }

    /// Hits this many calls; 0 means all.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Lets this many calls pass first.
    #[must_use]
    pub fn skipping(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Strikes after the call was carried out.
    #[must_use]
    pub fn after_commit(self) -> Self {
        Self { after: true, ..self }
    }

    /// Is late by this much.
    #[must_use]
    pub fn delayed_by(self, delay: std::time::Duration) -> Self {
        Self { delay_milliseconds: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..self }
    }
}

/// The planted faults, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planted: Vec<Fault>,
    last_id: u64,
}

impl Faults {
    pub(crate) fn plant(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.planted.push(Fault { id: self.last_id, ..fault });
        self.last_id
    }

    pub(crate) fn clear(&mut self) {
        self.planted.clear();
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.planted.len();
        self.planted.retain(|fault| fault.id != id);
        self.planted.len() < before
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.planted
    }

    /// The fault for this call, if one is due: the oldest that matches and has skipped enough.
    pub(crate) fn strike(&mut self, operation: Operation) -> Option<Fault> {
        let index = self.planted.iter_mut().position(|fault| {
            let matches = match fault.operation {
                FaultTarget::Any => true,
                FaultTarget::Only(only) => only == operation,
            };
            let due = matches && fault.skip == 0;
            if matches && !due {
                fault.skip -= 1;
            }
            due
        })?;
        let fault = self.planted[index].clone();
        match fault.count {
            0 => {}
            1 => {
                self.planted.remove(index);
            }
            _ => self.planted[index].count -= 1,
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_operation_after_skipping_and_as_often_as_told() {
        let mut faults = Faults::default();
        faults.plant(Fault::status(Operation::CreateClient, 503).skipping(1).times(2));
        let hits =
            [Operation::GetClient, Operation::CreateClient, Operation::CreateClient, Operation::CreateClient, Operation::CreateClient]
                .map(|operation| faults.strike(operation).is_some());
        assert_eq!(hits, [false, false, true, true, false]);
        assert!(faults.all().is_empty(), "a spent fault is gone");
    }

    #[test]
    fn a_count_of_zero_hits_until_cleared() {
        let mut faults = Faults::default();
        faults.plant(Fault::on(FaultTarget::Any, FaultKind::Hang).times(0));
        assert!((0..5).all(|_| faults.strike(Operation::GetToken).is_some()));
        faults.clear();
        assert!(faults.strike(Operation::GetToken).is_none());
    }

    #[test]
    fn json_names_operations_and_rejects_unknown_ones() {
        let fault: Fault = serde_json::from_str(r#"{"operation":"*","kind":"Html"}"#).expect("valid");
        assert_eq!((fault.operation, fault.count), (FaultTarget::Any, 1));
        let fault: Fault = serde_json::from_str(r#"{"operation":"ListClients","kind":"Status","status":503}"#).expect("valid");
        assert_eq!(fault, Fault::status(Operation::ListClients, 503));
        assert!(serde_json::from_str::<Fault>(r#"{"operation":"ListClient","kind":"Html"}"#).is_err());
    }
}
