//! Our messages against those of an installed pymilvus: every name, number and type that we declare
//! must be the client's.
//!
//! `MILLSTREAM_TEST_PYMILVUS_DESCRIPTORS` names a file with a serialized `FileDescriptorSet` of the
//! client's. Without it the comparison is skipped, and says so.

use std::collections::BTreeMap;

use millstream_gateway::pb::DESCRIPTORS;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Everything that is fixed on the wire, by its full name.
type Facts = BTreeMap<String, String>;

fn facts(set: &FileDescriptorSet) -> Facts {
    let mut facts = Facts::new();
    for file in set.file.iter().filter(|f| f.package().starts_with("milvus.proto.")) {
        let package = file.package();
        for message in &file.message_type {
            add_message(&mut facts, package, message);
        }
        for listed in &file.enum_type {
            add_enum(&mut facts, package, listed);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{package}.{}/{}", service.name(), method.name());
                let types = format!("{} -> {}", method.input_type(), method.output_type());
                facts.insert(name, types);
            }
        }
    }
    facts
}

fn add_message(facts: &mut Facts, prefix: &str, message: &DescriptorProto) {
    let name = format!("{prefix}.{}", message.name());
    for field in &message.field {
        facts.insert(format!("{name}.{}", field.name()), shape(field));
    }
    for nested in &message.nested_type {
        add_message(facts, &name, nested);
    }
    for nested in &message.enum_type {
        add_enum(facts, &name, nested);
    }
}

fn shape(field: &FieldDescriptorProto) -> String {
    // Whether a field is in a oneof changes nothing on the wire, and newer clients moved some.
    format!("{} {:?} {:?} {}", field.number(), field.label(), field.r#type(), field.type_name(),)
}

fn add_enum(facts: &mut Facts, prefix: &str, listed: &EnumDescriptorProto) {
    for value in &listed.value {
        let name = format!("{prefix}.{}.{}", listed.name(), value.name());
        facts.insert(name, value.number().to_string());
    }
}

#[test]
fn everything_that_we_declare_is_what_the_client_declares() {
    let Some(path) = std::env::var_os("MILLSTREAM_TEST_PYMILVUS_DESCRIPTORS") else {
        eprintln!("skipped: MILLSTREAM_TEST_PYMILVUS_DESCRIPTORS is not set");
        return;
    };
    let theirs = std::fs::read(path).expect("the file that the variable names");
    let theirs = facts(&FileDescriptorSet::decode(&*theirs).expect("a FileDescriptorSet"));
    let ours = facts(&FileDescriptorSet::decode(DESCRIPTORS).expect("our own descriptors"));
    assert!(ours.len() > 300, "only {} facts", ours.len());
    // A name that an older client does not have yet is no difference; one that differs is.
    let different: Vec<String> = ours
        .iter()
        .filter_map(|(name, ours)| match theirs.get(name) {
            Some(theirs) if theirs != ours => Some(format!("{name}: {ours}, client has {theirs}")),
            _ => None,
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let unknown: Vec<&String> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    eprintln!("{} of {} facts are not in this client: {unknown:?}", unknown.len(), ours.len());
    assert!(unknown.len() * 4 < ours.len(), "is this a descriptor set of Milvus's protocol?");
}

#[test]
fn messages_whose_code_has_another_type_than_the_wire_still_describe_the_wire() {
    let ours = facts(&FileDescriptorSet::decode(DESCRIPTORS).expect("our own descriptors"));
    assert!(ours["milvus.proto.schema.FloatArray.data"].contains("Float"));
    assert!(ours["milvus.proto.schema.ScalarField.string_data"].contains("StringArray"));
    assert!(ours["milvus.proto.schema.ScalarField.json_data"].contains("JSONArray"));
}
