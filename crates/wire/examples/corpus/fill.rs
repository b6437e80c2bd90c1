//! Examples of any message by its descriptor: one with every field set for each alternative of a `oneof`, and one with only what
//! is always there. The same descriptors give the same bytes: lists and maps get one entry each.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::{
    layout::Top,
    values::{self, ALWAYS, NOT_AT_REST},
};

/// The examples of a whole message by name; the name is empty where there is only one full example.
pub(crate) fn examples(top: &Top) -> Vec<(String, DynamicMessage)> {
    let mut examples = Vec::new();
    for (name, mut full, mut minimal) in alternatives(&top.message) {
        if top.at_rest() {
            stored(&mut full);
            stored(&mut minimal);
        }
        let least = if name.is_empty() {
            "minimal".to_owned()
        } else {
            format!("{name}.minimal")
        };
        let differs = minimal != full && minimal.fields().next().is_some();
        if let Some(part) = first_part(&full) {
            examples.push((format!("{name}.part"), part));
        }
        examples.push((name, full));
        if differs {
            examples.push((least, minimal));
        }
    }
    examples
}

/// Full and minimal examples, a pair for each alternative of a `oneof`, also of one inside an alternative or a field.
fn alternatives(message: &MessageDescriptor) -> Vec<(String, DynamicMessage, DynamicMessage)> {
    if let Some(known) = values::well_known(message) {
        return vec![(String::new(), known.clone(), known)];
    }
    let (mut full, mut minimal) = (
        DynamicMessage::new(message.clone()),
        DynamicMessage::new(message.clone()),
    );
    for field in message
        .fields()
        .filter(|field| field.containing_oneof().is_none())
    {
        full.set_field(&field, whole(&field));
        if ALWAYS.contains(&field.full_name()) {
            minimal.set_field(&field, least(&field));
        }
    }
    let mut found = Vec::new();
    for field in message
        .oneofs()
        .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
    {
        for (inner, some_full, some_minimal) in inside(&field) {
            let name = if inner.is_empty() {
                field.name().to_owned()
            } else {
                format!("{}.{inner}", field.name())
            };
            let (mut full, mut minimal) = (full.clone(), minimal.clone());
            full.set_field(&field, some_full);
            minimal.set_field(&field, some_minimal);
            found.push((name, full, minimal));
        }
    }
    // What has none of its own has those of what it holds.
    for field in message.fields().filter(|_| message.oneofs().len() == 0) {
        let Kind::Message(held) = field.kind() else {
            continue;
        };
        let several = inside(&field);
        if field.is_list() || field.is_map() || several.len() < 2 || held == *message {
            continue;
        }
        found.extend(several.into_iter().map(|(name, some_full, some_minimal)| {
            let (mut full, mut minimal) = (full.clone(), minimal.clone());
            full.set_field(&field, some_full);
            if ALWAYS.contains(&field.full_name()) {
                minimal.set_field(&field, some_minimal);
            }
            (name, full, minimal)
        }));
        break;
    }
    if found.is_empty() {
        found.push((String::new(), full, minimal));
    }
    found
}

fn inside(field: &FieldDescriptor) -> Vec<(String, Value, Value)> {
    match field.kind() {
        Kind::Message(message) => alternatives(&message)
            .into_iter()
            .map(|(name, full, minimal)| (name, Value::Message(full), Value::Message(minimal)))
            .collect(),
        _ => vec![(String::new(), whole(field), whole(field))],
    }
}

fn whole(field: &FieldDescriptor) -> Value {
    // Of what has alternatives, a list holds one each.
    if let (true, false, Kind::Message(message)) = (field.is_list(), field.is_map(), field.kind()) {
        let all = alternatives(&message).into_iter();
        return Value::List(all.map(|(_, full, _)| Value::Message(full)).collect());
    }
    value(field, &|kind, field| match kind {
        Kind::Message(message) => alternatives(&message).into_iter().next().map_or_else(
            || Value::Message(DynamicMessage::new(message)),
            |(_, full, _)| Value::Message(full),
        ),
        kind => values::scalar(field, &kind),
    })
}

fn least(field: &FieldDescriptor) -> Value {
    value(field, &|kind, field| match kind {
        Kind::Message(message) => alternatives(&message).into_iter().next().map_or_else(
            || Value::Message(DynamicMessage::new(message)),
            |(_, _, least)| Value::Message(least),
        ),
        kind => values::scalar(field, &kind),
    })
}

/// An assignment in parts goes on in the next message, which the full example does not.
fn first_part(message: &DynamicMessage) -> Option<DynamicMessage> {
    let mut part = message.clone();
    if !part.has_field_by_name("assign") {
        return None;
    }
    let assign = part.get_field_by_name_mut("assign")?.as_message_mut()?;
    if !assign.has_field_by_name("objects_zstd") {
        return None;
    }
    assign.set_field_by_name("more", Value::Bool(true));
    Some(part)
}

/// Takes out what is never stored.
fn stored(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if NOT_AT_REST.contains(&field.full_name()) {
            message.clear_field(&field);
        } else if let Value::Message(inner) = message.get_field_mut(&field) {
            stored(inner);
        }
    }
}

/// One value, a list of one or a map of one.
fn value(field: &FieldDescriptor, one: &dyn Fn(Kind, &FieldDescriptor) -> Value) -> Value {
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let key = MapKey::String(values::key(field).to_owned());
        let value = one(entry.map_entry_value_field().kind(), field);
        return Value::Map(HashMap::from([(key, value)]));
    }
    let single = one(field.kind(), field);
    if field.is_list() {
        Value::List(vec![single])
    } else {
        single
    }
}
