//! Carries out a request for a resource: finds the kind, asks whether it is allowed, reads or writes, and shapes the answer.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{self, Action, User};
use super::apply;
use super::codec;
use super::delete::{DeleteOptions, Deleted};
use super::error::{ApiError, Result};
use super::faults::FaultKind;
use super::managed::Operation;
use super::object;
use super::patch;
use super::read;
use super::request::{Commit, FieldValidation, PatchType, Request, Target, Verb, WriteOptions};
use super::resource::{GroupResource, Scope, Storage, Versioned};
use super::scale;
use super::selector::Selector;
use super::state::{State, key};
use super::table::{self, Form, Included};
use super::token;
use super::watch::WatchRequest;
use super::world::World;
use super::write::Write;

/// An answer with a body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Reply),
    Watch(Box<WatchRequest>),
}

fn reply(status: u16, body: Value) -> Outcome {
    Outcome::Reply(Reply { status, body, warnings: Vec::new() })
}

/// Reads the form that a client accepts.
pub(crate) fn form(request: &Request) -> Result<Form> {
    let accept = request.header("accept");
    if accept.is_empty() {
        return Ok(Form::Whole);
    }
    for wanted in accept.split(',') {
        let mut parameters = wanted.split(';').map(str::trim);
        let media = parameters.next().unwrap_or_default();
        if !matches!(media, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let shape = parameters.clone().find_map(|parameter| parameter.strip_prefix("as="));
        let old_version = parameters.any(|parameter| parameter == "v=v1beta1");
        match shape {
            None => return Ok(Form::Whole),
            Some(_) if old_version => {}
            Some("Table") => {
                return Ok(Form::Table(match request.query.text("includeObject") {
                    "None" => Included::Nothing,
                    "Object" => Included::Object,
                    "" | "Metadata" => Included::Metadata,
                    other => return Err(ApiError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
                }));
            }
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => return Ok(Form::Metadata),
            Some(_) => {}
        }
    }
    Err(ApiError::not_acceptable())
}

/// Finds the kind that a request is for.
fn find(state: &State, target: &Target) -> Result<Versioned> {
    let of = state.kinds.find(&target.group, &target.version, &target.resource).ok_or_else(ApiError::no_such_resource)?;
    if of.kind.scope == Scope::Cluster && !target.namespace.is_empty() {
        return Err(ApiError::no_such_resource());
    }
    let known = match target.subresource.as_str() {
        "" => true,
        "status" => of.version.status.is_some(),
        "scale" => of.version.scale.is_some(),
        token::SUBRESOURCE => token::has_tokens(&of.kind.id),
        "finalize" => target.resource == "namespaces" && target.group.is_empty(),
        _ => false,
    };
    if !known || (!target.name.is_empty() && of.kind.is_namespaced() && target.namespace.is_empty()) {
        return Err(ApiError::no_such_resource());
    }
    if target.subresource == token::SUBRESOURCE {
        return if target.verb == Verb::Create { Ok(of) } else { Err(ApiError::method_not_allowed()) };
    }
    let fits = match target.verb {
        Verb::Create => target.name.is_empty() && (!of.kind.is_namespaced() || !target.namespace.is_empty()),
        Verb::Patch if target.subresource == "finalize" => false,
        Verb::Update | Verb::Patch | Verb::Delete => !target.name.is_empty(),
        // Nobody empties all namespaces at once.
        Verb::DeleteCollection => {
            of.kind.id != GroupResource::new("", "namespaces") && (!of.kind.is_namespaced() || !target.namespace.is_empty())
        }
        Verb::Get | Verb::List | Verb::Watch => true,
    };
    let subresource_fits = target.subresource.is_empty() || matches!(target.verb, Verb::Get | Verb::Update | Verb::Patch);
    let answered = of.kind.storage == Storage::Stored || target.verb == Verb::Create;
    if fits && subresource_fits && answered { Ok(of) } else { Err(ApiError::method_not_allowed()) }
}

/// Carries out a request of a user.
pub(crate) fn handle(world: &Arc<World>, user: &User, target: &Target, request: &Request) -> Result<Outcome> {
    let now = world.now();
    let form = form(request);
    let of = {
        let locked = world.lock();
        if access::allows(&locked.state, user, &Action::of(target)).is_none() {
            return Err(access::forbidden(user, target));
        }
        find(&locked.state, target)?
    };
    let form = form?;
    let mut outcome = match target.verb {
        Verb::Get => get(world, &of, target, form, now),
        Verb::List => list(world, user, &of, target, request, form, now),
        Verb::Watch => {
            let locked = world.lock();
            WatchRequest::read(&locked.state, of.clone(), target.clone(), &user.name, &request.query, form)
                .map(|watch| Outcome::Watch(Box::new(watch)))
        }
        Verb::Create if of.kind.storage == Storage::AnsweredOnly => {
            let body = codec::read_body(request, &of)?;
            access::check_review(&of, &body)?;
            let locked = world.lock();
            let mut answer = access::review(&locked.state, user, &of.kind.kind, body);
            codec::set_type(&mut answer, &of);
            Ok(reply(201, answer))
        }
        Verb::Create if target.subresource == token::SUBRESOURCE => Ok(reply(201, token::issue(world, &of, target, request, now)?)),
        Verb::Create => create(world, &of, target, request, form, now),
        Verb::Update => update(world, &of, target, request, form, now),
        Verb::Patch => patch(world, &of, target, request, form, now),
        Verb::Delete => delete(world, &of, target, request, form, now),
        Verb::DeleteCollection => delete_collection(world, &of, target, request, form, now),
    }?;
    if let (Outcome::Reply(reply), Some(warning)) = (&mut outcome, &of.version.deprecation) {
        reply.warnings.push(warning.clone());
    }
    Ok(outcome)
}

fn get(world: &World, of: &Versioned, target: &Target, form: Form, now: Timestamp) -> Result<Outcome> {
    let locked = world.lock();
    let found = locked.state.get(&of.kind.stored_as, &key(&of.kind, &target.namespace, &target.name));
    let object = found.ok_or_else(|| ApiError::not_found(&of.kind.id, &target.name))?;
    if target.subresource == "scale" {
        return Ok(reply(200, scale::read(object, of)));
    }
    Ok(reply(200, table::single(object, of, form, now)))
}

fn list(world: &World, user: &User, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let query = &request.query;
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"), of)?;
    let travelled = match world.faults().on_list(&user.name, target) {
        Some(FaultKind::TimeTravel { resource_version }) => Some(resource_version),
        _ => None,
    };
    // A list that may be old comes from the cache, and that may stand still.
    let cached = query.text("resourceVersion") == "0" || query.text("resourceVersionMatch") == "NotOlderThan";
    let frozen = if cached { world.faults().frozen_at(&user.name, target) } else { None };
    let locked = world.lock();
    let page = match travelled.or(frozen) {
        Some(version) => read::list_at(&locked.state, of, &target.namespace, &selector, version)?,
        None => read::list(&locked.state, of, &target.namespace, &selector, query)?,
    };
    drop(locked);
    let objects: Vec<Value> = page.objects.iter().map(|object| Value::clone(object)).collect();
    Ok(reply(200, table::list(&objects, of, form, page.metadata(), now)))
}

/// Runs a write and shapes its answer.
pub(crate) fn write(
    world: &World,
    of: &Versioned,
    target: &Target,
    options: &WriteOptions,
    now: Timestamp,
    run: impl FnOnce(&mut Write<'_>) -> Result<(u16, Arc<Value>)>,
) -> Result<(u16, Arc<Value>)> {
    world.change(|state| {
        let mut write = Write { state, of, namespace: &target.namespace, subresource: &target.subresource, options, now };
        run(&mut write)
    })
}

pub(crate) fn written((status, object): (u16, Arc<Value>), of: &Versioned, form: Form, warnings: Vec<String>, now: Timestamp) -> Outcome {
    let body = table::single(&object, of, form, now);
    Outcome::Reply(Reply { status, body, warnings })
}

/// The object of a body.
fn decoded(request: &Request, of: &Versioned, options: &WriteOptions) -> Result<codec::Decoded> {
    let value = codec::read_body(request, of)?;
    let twice = codec::duplicates(request, of, options.field_validation)?;
    let mut decoded = codec::decode(value, of, options.field_validation)?;
    decoded.warnings.extend(twice);
    Ok(decoded)
}

fn create(world: &World, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let options = WriteOptions::read(request, "CreateOptions", None)?;
    let decoded = decoded(request, of, &options)?;
    let done =
        write(world, of, target, &options, now, |write| write.create(decoded.object, Operation::Update).map(|object| (201, object)))?;
    Ok(written(done, of, form, decoded.warnings, now))
}

fn update(world: &World, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let options = WriteOptions::read(request, "UpdateOptions", None)?;
    if target.subresource == "scale" {
        let body: Value = serde_json::from_slice(&request.body).map_err(|error| ApiError::bad_request(error.to_string()))?;
        return scaled(world, of, target, &options, now, |_| Ok(body));
    }
    let decoded = decoded(request, of, &options)?;
    let done = write(world, of, target, &options, now, |write| {
        let mut new = decoded.object;
        write.check_place(&mut new, &target.name)?;
        match write.live(&target.name) {
            Ok(old) => {
                let (asked, has) = (object::uid(&new), object::uid(&old));
                if !asked.is_empty() && asked != has {
                    let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {has}");
                    return Err(ApiError::conflict(&of.kind.id, &target.name, &why));
                }
                write.update(&old, new, Operation::Update).map(|object| (200, object))
            }
            // Leases and events may be made by an update.
            Err(_) if target.subresource.is_empty() && creates_on_update(of) => {
                write.create(new, Operation::Update).map(|object| (201, object))
            }
            Err(missing) => {
                let uid = object::uid(&new);
                if uid.is_empty() {
                    Err(missing)
                } else {
                    Err(ApiError::conflict(
                        &of.kind.id,
                        &target.name,
                        &format!("Precondition failed: UID in precondition: {uid}, UID in object meta: "),
                    ))
                }
            }
        }
    })?;
    Ok(written(done, of, form, decoded.warnings, now))
}

fn creates_on_update(of: &Versioned) -> bool {
    matches!(
        (of.kind.id.group.as_str(), of.kind.id.resource.as_str()),
        ("coordination.k8s.io", "leases") | ("" | "events.k8s.io", "events")
    )
}

fn patch(world: &World, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let custom = of.kind.is_custom().then_some("application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
    let kind = PatchType::of(request.content_type()).map_err(|_| ApiError::unsupported_media_type(custom))?;
    if kind == PatchType::Strategic && of.kind.is_custom() {
        return Err(ApiError::unsupported_media_type(custom));
    }
    let options = WriteOptions::read(request, "PatchOptions", Some(kind))?;
    if target.subresource == "scale" {
        let patch = patch::read_object(&request.body)?;
        return scaled(world, of, target, &options, now, |scale| Ok(patch::merge(&scale, &patch)));
    }
    if kind == PatchType::Apply {
        return apply::apply(world, of, target, request, &options, form, now);
    }
    let mut warnings = Vec::new();
    let done = write(world, of, target, &options, now, |write| {
        let old = write.live(&target.name)?;
        let shown = codec::present(&old, of);
        let patched = match kind {
            PatchType::Json => patch::json(&shown, &request.body)?,
            PatchType::Merge => patch::merge(&shown, &patch::read_object(&request.body)?),
            PatchType::Strategic | PatchType::Apply => {
                patch::strategic(&shown, &patch::read_object(&request.body)?, of.version.schema.root())
            }
        };
        let decoded = codec::decode(patched, of, options.field_validation)?;
        warnings = decoded.warnings;
        write.update(&old, decoded.object, Operation::Update).map(|object| (200, object))
    })?;
    Ok(written(done, of, form, warnings, now))
}

fn scaled(
    world: &World,
    of: &Versioned,
    target: &Target,
    options: &WriteOptions,
    now: Timestamp,
    change: impl FnOnce(Value) -> Result<Value>,
) -> Result<Outcome> {
    let done = world.change(|state| {
        let mut write = Write { state, of, namespace: &target.namespace, subresource: "", options, now };
        let old = write.live(&target.name)?;
        let wanted = change(scale::read(&old, of))?;
        let new = scale::write(&old, &wanted, of);
        write.update(&old, new, Operation::Update)
    })?;
    Ok(reply(200, scale::read(&done, of)))
}

/// The success that a deletion answers with, or the object that waits.
fn deleted_body(deleted: &Deleted, of: &Versioned, form: Form, now: Timestamp) -> Value {
    match deleted {
        Deleted::Waiting(object) => table::single(object, of, form, now),
        Deleted::Gone(object) => {
            let mut details = json!({"name": object::name(object), "kind": of.kind.id.resource, "uid": object::uid(object)});
            if !of.group().is_empty() {
                details["group"] = of.group().into();
            }
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
        }
    }
}

fn delete_options(request: &Request) -> Result<(DeleteOptions, WriteOptions)> {
    let options = DeleteOptions::read(request)?;
    let commit = if options.dry_run.is_empty() { Commit::Keep } else { Commit::DryRun };
    Ok((options, WriteOptions { commit, manager: String::new(), field_validation: FieldValidation::Ignore, force: false }))
}

fn delete(world: &World, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let (options, write_options) = delete_options(request)?;
    let deleted = world.change(|state| {
        let mut write = Write { state, of, namespace: &target.namespace, subresource: "", options: &write_options, now };
        write.delete(&target.name, &options)
    })?;
    Ok(Outcome::Reply(Reply { status: 200, body: deleted_body(&deleted, of, form, now), warnings: Vec::new() }))
}

fn delete_collection(world: &World, of: &Versioned, target: &Target, request: &Request, form: Form, now: Timestamp) -> Result<Outcome> {
    let (options, write_options) = delete_options(request)?;
    let selector = Selector::parse(request.query.text("labelSelector"), request.query.text("fieldSelector"), of)?;
    let page = world.change(|state| -> Result<(Vec<Value>, Value)> {
        let page = read::list(state, of, &target.namespace, &selector, &request.query)?;
        let mut gone = Vec::new();
        for object in &page.objects {
            let mut write = Write { state, of, namespace: object::namespace(object), subresource: "", options: &write_options, now };
            let deleted = write.delete(object::name(object), &options)?;
            gone.push(Value::clone(deleted.object()));
        }
        Ok((gone, page.metadata()))
    })?;
    Ok(Outcome::Reply(Reply { status: 200, body: table::list(&page.0, of, form, page.1, now), warnings: Vec::new() }))
}
