//! Deletions: preconditions, finalizers and propagation; what depends on the deleted is the controllers' business.

use std::sync::Arc;

use serde_json::{Value, json};

use super::definition;
use super::error::{ApiError, FieldError, Result};
use super::object;
use super::protobuf;
use super::request::{Commit, Request};
use super::resource::GroupResource;
use super::write::Write;

/// The finalizer of a deletion that waits for the dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that lets the dependents go free.
pub(crate) const ORPHAN: &str = "orphan";

/// The options of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    propagation: Option<String>,
    pub(crate) dry_run: Vec<String>,
}

impl DeleteOptions {
    pub(crate) fn read(request: &Request) -> Result<Self> {
        let query = &request.query;
        let mut options = Self { dry_run: query.all("dryRun").to_vec(), ..Self::default() };
        let named = query.text("propagationPolicy");
        if !named.is_empty() {
            options.propagation = Some(named.to_owned());
        }
        if !request.body.is_empty() {
            let body: Value = match request.content_type() {
                "application/vnd.kubernetes.protobuf" => {
                    protobuf::read(&request.body).ok_or_else(|| ApiError::bad_request("error decoding DeleteOptions"))?
                }
                _ => serde_json::from_slice(&request.body)
                    .map_err(|error| ApiError::bad_request(format!("error decoding DeleteOptions: {error}")))?,
            };
            let text = |path: &[&str]| Some(object::text(&body, path).to_owned()).filter(|text| !text.is_empty());
            if !body.is_object() || !matches!(object::text(&body, &["kind"]), "" | "DeleteOptions") {
                return Err(ApiError::bad_request("error decoding DeleteOptions: the body is of another kind"));
            }
            // An empty precondition is one that nothing fulfils.
            let condition = |name: &str| object::at(&body, &["preconditions", name]).and_then(Value::as_str).map(str::to_owned);
            options.uid = condition("uid");
            options.resource_version = condition("resourceVersion");
            options.propagation = text(&["propagationPolicy"]).or(options.propagation);
            let orphans = body.get("orphanDependents").is_some_and(Value::is_boolean);
            if orphans && options.propagation.is_some() {
                let told = Value::from(options.propagation.clone());
                let error = FieldError::invalid("propagationPolicy", &told, "orphanDependents and deletionPropagation cannot be both set");
                return Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
            }
            if body.get("orphanDependents") == Some(&Value::Bool(true)) {
                options.propagation = Some("Orphan".into());
            }
            options.dry_run.extend(object::list(&body, &["dryRun"]).iter().filter_map(Value::as_str).map(str::to_owned));
        }
        let mut errors = Vec::new();
        if options.dry_run.iter().any(|value| value != "All") {
            errors.push(FieldError::not_supported("dryRun", &format!("{:?}", options.dry_run), &["All"]));
        }
        if let Some(policy) = &options.propagation
            && !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan")
        {
            errors.push(FieldError::not_supported(
                "propagationPolicy",
                &format!("{policy:?}"),
                &["Foreground", "Background", "Orphan", "nil"],
            ));
        }
        if errors.is_empty() { Ok(options) } else { Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &errors)) }
    }
}

/// What a deletion came to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// It is gone.
    Gone(Arc<Value>),
    /// It waits for finalizers.
    Waiting(Arc<Value>),
}

impl Deleted {
    pub(crate) fn object(&self) -> &Arc<Value> {
        match self {
            Self::Gone(object) | Self::Waiting(object) => object,
        }
    }
}

impl Write<'_> {
    /// Deletes an object, or begins to.
    pub(crate) fn delete(&mut self, name: &str, options: &DeleteOptions) -> Result<Deleted> {
        let live = self.live(name)?;
        self.check_preconditions(&live, options)?;
        let namespaces = GroupResource::new("", "namespaces");
        if *self.id() == namespaces && matches!(name, "default" | "kube-system" | "kube-public") {
            return Err(ApiError::forbidden(self.id(), name, "this namespace may not be deleted"));
        }
        let mut last = Value::clone(&live);
        let mut finalizers: Vec<String> = object::finalizers(&live).into_iter().map(str::to_owned).collect();
        let wanted = match options.propagation.as_deref() {
            Some("Foreground") => Some(FOREGROUND),
            Some("Orphan") => Some(ORPHAN),
            _ if definition::is_definition(self.id()) => Some(definition::FINALIZER),
            _ => None,
        };
        if options.propagation.is_some() {
            finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
        }
        if let Some(wanted) = wanted
            && !finalizers.iter().any(|finalizer| finalizer == wanted)
        {
            finalizers.push(wanted.to_owned());
        }
        let waits = !finalizers.is_empty() || (*self.id() == namespaces && !object::list(&live, &["spec", "finalizers"]).is_empty());
        let dry = self.options.commit == Commit::DryRun;
        if !waits {
            if dry {
                return Ok(Deleted::Gone(live));
            }
            let key = self.key(name);
            let gone = self.state.remove(&self.of.kind.stored_as, &key).unwrap_or(live);
            return Ok(Deleted::Gone(gone));
        }
        object::set_metadata(&mut last, "finalizers", (!finalizers.is_empty()).then(|| json!(finalizers)));
        if !object::is_terminating(&live) {
            object::set_metadata(&mut last, "deletionTimestamp", Some(object::moment(self.now).into()));
            if *self.id() == namespaces {
                object::member_mut(&mut last, "status").insert("phase".into(), "Terminating".into());
            } else {
                object::set_metadata(&mut last, "deletionGracePeriodSeconds", Some(json!(0)));
            }
            if object::generation(&live) > 0 {
                object::set_metadata(&mut last, "generation", Some((object::generation(&live) + 1).into()));
            }
        }
        if dry || last == *live {
            return Ok(Deleted::Waiting(Arc::new(last)));
        }
        let key = self.key(name);
        Ok(Deleted::Waiting(self.state.put(&self.of.kind.stored_as, &key, last)))
    }

    fn check_preconditions(&self, live: &Value, options: &DeleteOptions) -> Result<()> {
        // The kind stands where other conflicts name the resource.
        let kind = GroupResource::new(self.of.group(), &self.of.kind.kind);
        let name = object::name(live);
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object::uid(live)) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                object::uid(live)
            );
            return Err(ApiError::conflict(&kind, name, &why));
        }
        let version = object::text(live, &["metadata", "resourceVersion"]);
        if let Some(wanted) = options.resource_version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            );
            return Err(ApiError::conflict(&kind, name, &why));
        }
        Ok(())
    }
}
