//! Creates and updates: what every write of an object goes through before it is stored; patches and deletions come here too.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::admission;
use super::codec;
use super::definition;
use super::error::{ApiError, FieldError, Result};
use super::managed::{self, Manager, Operation, View};
use super::metadata;
use super::object;
use super::request::{Commit, WriteOptions};
use super::resource::{GroupResource, Kind, Origin, Versioned};
use super::state::{State, key};
use super::structure;
use super::validate::validate;

/// A write and its circumstances.
pub(crate) struct Write<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) of: &'a Versioned,
    pub(crate) namespace: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) options: &'a WriteOptions,
    pub(crate) now: Timestamp,
}

impl Write<'_> {
    fn kind(&self) -> &Kind {
        &self.of.kind
    }

    pub(crate) fn id(&self) -> &GroupResource {
        &self.of.kind.id
    }

    pub(crate) fn key(&self, name: &str) -> String {
        key(self.kind(), self.namespace, name)
    }

    pub(crate) fn live(&self, name: &str) -> Result<Arc<Value>> {
        let found = self.state.get(&self.of.kind.stored_as, &self.key(name));
        found.cloned().ok_or_else(|| ApiError::not_found(self.id(), name))
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { schema: self.of.version.schema.root(), status: self.of.version.status }
    }

    pub(crate) fn manager(&self, operation: Operation) -> Manager {
        Manager {
            name: self.options.manager.clone(),
            operation,
            api_version: self.of.api_version(),
            subresource: self.subresource.to_owned(),
        }
    }

    /// The name and the namespace of an object that was sent must be those of the request.
    pub(crate) fn check_place(&self, sent: &mut Value, name: &str) -> Result<()> {
        if self.kind().is_namespaced() {
            let namespace = object::namespace(sent);
            if namespace.is_empty() {
                object::set_metadata(sent, "namespace", Some(self.namespace.into()));
            } else if namespace != self.namespace {
                return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
            }
        } else {
            object::set_metadata(sent, "namespace", None);
        }
        let sent_name = object::name(sent);
        if name.is_empty() || sent_name == name {
            return Ok(());
        }
        if sent_name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        Err(ApiError::bad_request(format!("the name of the object ({sent_name}) does not match the name on the URL ({name})")))
    }

    fn check_namespace(&self, name: &str) -> Result<()> {
        if !self.kind().is_namespaced() {
            return Ok(());
        }
        let namespaces = GroupResource::new("", "namespaces");
        match self.state.get(&namespaces, self.namespace) {
            None => Err(ApiError::not_found(&namespaces, self.namespace)),
            Some(namespace) if object::is_terminating(namespace) => Err(ApiError::namespace_terminating(self.id(), name, self.namespace)),
            Some(_) => Ok(()),
        }
    }

    /// Makes an object. With `Operation::Apply` its managers are noted already.
    pub(crate) fn create(&mut self, mut new: Value, operation: Operation) -> Result<Arc<Value>> {
        self.check_place(&mut new, "")?;
        self.check_namespace(object::name(&new))?;
        if !object::text(&new, &["metadata", "resourceVersion"]).is_empty() {
            return Err(ApiError::internal("resourceVersion should not be set on objects to be created"));
        }
        let generate = object::text(&new, &["metadata", "generateName"]).to_owned();
        if object::name(&new).is_empty() && !generate.is_empty() {
            let mut name = self.state.identity.generated_name(&generate);
            while self.state.get(&self.of.kind.stored_as, &self.key(&name)).is_some() {
                name = self.state.identity.generated_name(&generate);
            }
            object::set_metadata(&mut new, "name", Some(name.into()));
        }
        drop_empty_metadata(&mut new);
        let uid = self.state.identity.uid();
        for (member, value) in [
            ("uid", Some(uid.into())),
            ("creationTimestamp", Some(object::moment(self.now).into())),
            ("deletionTimestamp", None),
            ("deletionGracePeriodSeconds", None),
            ("selfLink", None),
            ("generation", self.has_generation().then(|| json!(1))),
        ] {
            object::set_metadata(&mut new, member, value);
        }
        if self.of.version.status.is_some() {
            object::set_member(
                &mut new,
                "status",
                self.kind().id.eq(&GroupResource::new("", "namespaces")).then(|| json!({"phase": "Active"})),
            );
        }
        if self.kind().id == GroupResource::new("", "namespaces") {
            object::set_member(&mut new, "spec", Some(json!({"finalizers": ["kubernetes"]})));
        }
        self.default(&mut new);
        if operation == Operation::Update {
            let skeleton = codec::skeleton(self.of);
            let mut shown = codec::present(&new, self.of);
            managed::track_update(&skeleton, &mut shown, &self.manager(operation), self.view(), &object::moment(self.now));
            object::set_metadata(&mut new, "managedFields", object::at(&shown, &["metadata", "managedFields"]).cloned());
        }
        self.check(&new, None)?;
        let name = object::name(&new).to_owned();
        if let Some(there) = self.state.get(&self.of.kind.stored_as, &self.key(&name)) {
            let mut error = ApiError::already_exists(self.id(), &name);
            if object::is_terminating(there) {
                error.message = format!("object is being deleted: {}", error.message);
            }
            return Err(error);
        }
        if self.options.commit == Commit::DryRun {
            return Ok(Arc::new(new));
        }
        Ok(self.store(&name, new))
    }

    fn store(&mut self, name: &str, new: Value) -> Arc<Value> {
        let stored = self.state.put(&self.of.kind.stored_as, &self.key(name), new);
        if definition::is_definition(self.id()) {
            definition::accept(self.state, &stored, self.now);
        }
        stored
    }

    /// Do objects of the kind count the changes of their specification?
    fn has_generation(&self) -> bool {
        match self.kind().origin {
            Origin::Custom => true,
            Origin::BuiltIn => matches!(self.kind().id.group.as_str(), "apps" | "apiextensions.k8s.io"),
        }
    }

    fn default(&self, object: &mut Value) {
        structure::default(object, self.of.version.schema.root());
        if self.kind().origin == Origin::BuiltIn {
            admission::default(&self.kind().stored_as, object);
        }
    }

    fn invalid(&self, name: &str, errors: &[FieldError]) -> ApiError {
        ApiError::invalid(self.of.group(), &self.kind().kind, name, errors)
    }

    /// Everything that the kind demands of an object.
    fn check(&self, new: &Value, old: Option<&Value>) -> Result<()> {
        let mut errors = metadata::errors(new, self.kind());
        if let Some(old) = old {
            errors.extend(metadata::update_errors(old, new));
        }
        let schema = self.of.version.schema.root();
        match self.kind().origin {
            Origin::BuiltIn => {
                let shown = codec::present(new, self.of);
                errors.extend(validate(&shown, None, schema, "").into_iter().filter(|error| {
                    // What a Go struct always has cannot be missing.
                    error.reason == "FieldValueRequired" && error.field != "metadata" && !error.field.starts_with("status.")
                }));
                errors.extend(admission::errors(&self.kind().stored_as, new, old));
                if self.id().group == "events.k8s.io" && old.is_none() && object::text(new, &["eventTime"]).is_empty() {
                    errors.push(FieldError::required("eventTime", ""));
                }
                if definition::is_definition(self.id()) {
                    errors.extend(definition::errors(new, old));
                }
            }
            Origin::Custom => {
                let (new, old) = (judged(new), old.map(judged));
                let found = validate(&new, old.as_ref(), schema, "");
                let blocked = !found.is_empty();
                errors.extend(found);
                if let Some(rules) = &self.of.version.rules {
                    if blocked {
                        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
                        errors.push(FieldError::invalid("<nil>", &Value::Null, why));
                    } else {
                        errors.extend(rules.broken(&new, old.as_ref(), schema));
                    }
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(self.invalid(object::name(new), &errors)) }
    }

    /// Replaces an object. With `Operation::Apply` its managers are noted already.
    pub(crate) fn update(&mut self, old: &Arc<Value>, mut new: Value, operation: Operation) -> Result<Arc<Value>> {
        let name = object::name(old).to_owned();
        self.check_place(&mut new, &name)?;
        self.check_version(old, &new)?;
        for member in ["creationTimestamp", "selfLink", "generation", "resourceVersion"] {
            object::set_metadata(&mut new, member, object::at(old, &["metadata", member]).cloned());
        }
        for member in ["uid", "deletionTimestamp"] {
            if object::text(&new, &["metadata", member]).is_empty() {
                object::set_metadata(&mut new, member, object::at(old, &["metadata", member]).cloned());
            }
        }
        if object::at(&new, &["metadata", "deletionGracePeriodSeconds"]).is_none_or(Value::is_null) {
            let grace = object::at(old, &["metadata", "deletionGracePeriodSeconds"]).cloned();
            object::set_metadata(&mut new, "deletionGracePeriodSeconds", grace);
        }
        drop_empty_metadata(&mut new);
        self.separate(old, &mut new);
        self.default(&mut new);
        if operation == Operation::Update {
            let mut shown = codec::present(&new, self.of);
            managed::track_update(
                &codec::present(old, self.of),
                &mut shown,
                &self.manager(operation),
                self.view(),
                &object::moment(self.now),
            );
            object::set_metadata(&mut new, "managedFields", object::at(&shown, &["metadata", "managedFields"]).cloned());
        }
        object::set_member(&mut new, "apiVersion", old.get("apiVersion").cloned());
        if self.has_generation() && self.moves_generation(old, &new) {
            object::set_metadata(&mut new, "generation", Some((object::generation(old) + 1).into()));
        }
        self.check(&new, Some(old))?;
        if new == **old {
            return Ok(Arc::clone(old));
        }
        if self.options.commit == Commit::DryRun {
            return Ok(Arc::new(new));
        }
        if object::is_terminating(&new) && object::finalizers(&new).is_empty() && !self.is_kept_by_specification(&new) {
            return Ok(self.drop_finalized(&name, new));
        }
        Ok(self.store(&name, new))
    }

    /// The last finalizer went, so the object goes with this write.
    fn drop_finalized(&mut self, name: &str, mut last: Value) -> Arc<Value> {
        let key = self.key(name);
        self.state.remove(&self.of.kind.stored_as, &key);
        if definition::is_definition(self.id()) {
            definition::forget(self.state, &last);
        }
        object::set_metadata(&mut last, "resourceVersion", Some(self.state.resource_version().to_string().into()));
        Arc::new(last)
    }

    fn is_kept_by_specification(&self, object: &Value) -> bool {
        self.kind().id == GroupResource::new("", "namespaces") && !object::list(object, &["spec", "finalizers"]).is_empty()
    }

    fn check_version(&self, old: &Value, new: &Value) -> Result<()> {
        let name = object::name(old);
        match object::text(new, &["metadata", "resourceVersion"]) {
            "" | "0" => {
                let conditional =
                    self.kind().is_custom() || matches!(self.kind().id.resource.as_str(), "leases" | "customresourcedefinitions");
                if conditional {
                    let error = FieldError {
                        field: "metadata.resourceVersion".into(),
                        reason: "FieldValueInvalid",
                        detail: "Invalid value: 0x0: must be specified for an update".into(),
                    };
                    return Err(ApiError::invalid(self.of.group(), &self.id().resource, name, &[error]));
                }
                Ok(())
            }
            version => match version.parse::<u64>() {
                Ok(version) if version == object::resource_version(old) => Ok(()),
                Ok(_) => Err(ApiError::modified(self.id(), name)),
                Err(_) => {
                    let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
                    Err(self.invalid(name, &[FieldError::invalid("metadata.resourceVersion", &version.into(), &why)]))
                }
            },
        }
    }

    /// A write of the object leaves the status alone, and a write of the status everything else.
    fn separate(&self, old: &Value, new: &mut Value) {
        let managers = object::at(new, &["metadata", "managedFields"]).cloned();
        match self.subresource {
            "status" => {
                let status = new.get("status").cloned();
                *new = old.clone();
                object::set_member(new, "status", status);
                object::set_metadata(new, "managedFields", managers);
            }
            "finalize" => {
                let finalizers = object::at(new, &["spec", "finalizers"]).cloned();
                *new = old.clone();
                object::member_mut(new, "spec").insert("finalizers".into(), finalizers.unwrap_or_else(|| json!([])));
                object::set_metadata(new, "managedFields", managers);
            }
            _ => {
                if self.of.version.status.is_some() {
                    object::set_member(new, "status", old.get("status").cloned());
                }
                if self.kind().id == GroupResource::new("", "namespaces") {
                    object::set_member(new, "spec", old.get("spec").cloned());
                }
            }
        }
    }

    fn moves_generation(&self, old: &Value, new: &Value) -> bool {
        if self.subresource == "status" {
            return false;
        }
        let specification = |object: &Value| -> Map<String, Value> {
            let apart =
                |name: &str| matches!(name, "metadata" | "apiVersion" | "kind") || (name == "status" && self.of.version.status.is_some());
            object
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !apart(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        specification(old) != specification(new)
    }
}

/// Empty lists and maps of metadata say nothing, and are not kept.
fn drop_empty_metadata(object: &mut Value) {
    for member in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match object::at(object, &["metadata", member]) {
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            object::set_metadata(object, member, None);
        }
    }
}

/// What schema and rules can see of an object: the metadata has checks of its own, and rules see no more of it than the names.
fn judged(object: &Value) -> Value {
    let apart = |(name, value): (&String, &Value)| match name.as_str() {
        "metadata" => {
            let known = ["name", "generateName"].into_iter();
            let names: Map<String, Value> = known.filter_map(|name| Some((name.to_owned(), value.get(name)?.clone()))).collect();
            (name.clone(), names.into())
        }
        _ => (name.clone(), value.clone()),
    };
    object.as_object().into_iter().flatten().map(apart).collect()
}
