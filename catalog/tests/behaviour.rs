//! One suite of behaviour over all back ends: memory, SQLite, Postgres.
//!
//! The Postgres cases need a server whose URL is in `MILLSTREAM_TEST_POSTGRES` and where
//! databases may be created; without it they say that they were skipped.

// A test may panic; the lint exempts only functions that are marked as tests.
#![allow(clippy::unwrap_used)]

#[path = "behaviour/access.rs"]
mod access;
#[path = "behaviour/alter.rs"]
mod alter;
#[path = "behaviour/content.rs"]
mod content;
#[path = "behaviour/ddl.rs"]
mod ddl;
#[path = "behaviour/files.rs"]
mod files;
#[path = "behaviour/home.rs"]
mod home;
#[path = "behaviour/keys.rs"]
mod keys;
#[path = "behaviour/life.rs"]
mod life;
#[path = "behaviour/manifest.rs"]
mod manifest;
#[path = "behaviour/names.rs"]
mod names;
#[path = "behaviour/objects.rs"]
mod objects;
#[path = "behaviour/postgres.rs"]
mod postgres_only;
#[path = "behaviour/repeated.rs"]
mod repeated;
#[path = "behaviour/resource.rs"]
mod resource;

use std::sync::Arc;

use home::{Home, Kind, Opened};
use millstream_catalog::catalog::{Created, Intent, NewCollection, NewIndex};
use millstream_catalog::model::{
    Collection, CollectionSchema, ConsistencyLevel, DataType, FieldId, FieldSchema, RequestId,
};

/// Makes each behaviour a test of each back end.
macro_rules! behaviours {
    ($($module:ident { $($name:ident,)* })*) => {
        mod memory { $($(
            #[test]
            fn $name() {
                crate::run(crate::Kind::Memory, crate::$module::$name);
            }
        )*)* }
        mod sqlite { $($(
            #[test]
            fn $name() {
                crate::run(crate::Kind::Sqlite, crate::$module::$name);
            }
        )*)* }
        mod postgres { $($(
            #[test]
            fn $name() {
                crate::run(crate::Kind::Postgres, crate::$module::$name);
            }
        )*)* }
    };
}

behaviours! {
    ddl {
        a_collection_is_current_only_when_its_intent_is_finished,
        a_retry_of_a_request_finds_its_own_work,
        creating_the_same_again_is_harmless_and_another_definition_is_refused,
        sixteen_concurrent_creators_of_one_name_make_one_collection,
        a_dropped_collection_is_unreadable_at_once_and_its_name_is_free,
        dropping_what_is_missing_is_harmless,
        the_past_is_described_as_it_was,
        the_past_is_listed_as_it_was,
        a_partition_drop_is_decided_before_it_is_finished,
        pending_intents_survive_a_restart_and_are_rolled_forward,
        shards_are_spread_over_the_channels,
        every_change_has_a_larger_stamp,
        watchers_hear_of_each_change_after_it_is_committed,
    }
    objects {
        the_default_database_exists_and_stays,
        databases_are_listed_in_order_of_creation,
        a_database_with_collections_is_not_dropped,
        a_databases_properties_are_replaced_by_key,
        the_number_of_databases_is_limited,
        what_is_missing_is_named,
        collections_are_listed_in_order_of_creation,
        names_belong_to_their_database,
        creating_a_partition_again_returns_it,
        hundreds_of_partitions_are_loaded_and_dropped_as_one,
        a_field_has_one_index_and_a_name_one_field,
        a_loaded_collection_keeps_its_indexes_and_partitions,
        loading_covers_later_partitions_only_when_the_whole_collection_is_loaded,
        loading_a_partition_that_is_missing_is_refused,
        strange_names_are_only_names,
    }
    names {
        an_alias_stands_for_the_name_of_its_collection,
        a_name_means_one_thing_in_a_database,
        an_alias_moves_in_one_step,
        an_alias_that_is_missing_is_not_moved_and_need_not_be_dropped,
        a_collection_with_aliases_is_not_dropped,
        a_renamed_collection_keeps_everything_but_its_name,
        a_collection_moves_to_another_database,
        a_name_that_is_taken_stops_a_rename,
        names_are_there_after_a_restart,
        concurrent_changes_of_names_leave_one_consistent_state,
    }
    alter {
        a_collections_properties_are_replaced_by_key,
        a_collections_level_and_description_are_altered_in_place,
        how_data_are_held_is_fixed_while_they_are_loaded,
        a_field_is_altered_in_place,
        an_altered_index_is_still_the_same_index,
    }
    content {
        an_added_field_is_current_only_when_it_is_finished,
        a_field_that_cannot_be_added_is_refused,
        a_change_of_a_collection_that_is_dropped_meanwhile_ends,
        a_truncation_changes_nothing_but_the_version,
        a_time_to_live_is_current_only_when_it_is_finished,
    }
    keys {
        a_collection_with_a_partition_key_is_made_with_its_partitions,
        the_partitions_of_a_partition_key_cannot_be_changed,
        the_number_of_partitions_of_a_partition_key_is_part_of_the_definition,
        four_thousand_partitions_are_made_in_one_change,
    }
    manifest {
        a_flush_is_there_after_a_restart,
        files_that_a_flush_does_not_name_any_more_are_garbage,
        the_same_flush_again_is_harmless,
        a_flush_that_contradicts_the_manifest_changes_nothing,
        only_what_exists_is_flushed,
        a_dropped_collection_keeps_its_manifest_until_it_is_forgotten,
        artefacts_come_and_go,
        a_flush_never_moves_a_checkpoint_back,
        thousands_of_segments_are_one_flush,
        flushes_of_many_shards_at_once_are_no_news,
        a_compaction_puts_segments_and_deltas_in_the_place_of_others,
        the_id_of_the_cluster_never_changes,
    }
    files {
        any_sequence_of_changes_loses_no_file_and_deletes_none_in_use,
    }
    access {
        root_and_the_default_roles_are_there_and_stay,
        what_public_may_do_can_be_revoked_for_good,
        users_come_and_go_and_change_their_passwords,
        a_new_hash_of_a_password_that_changed_meanwhile_is_ignored,
        a_role_is_given_and_taken,
        a_role_with_grants_goes_only_by_force_and_from_everybody,
        a_grant_is_one_however_often_it_is_given,
        a_grant_that_makes_no_sense_is_refused,
        groups_hold_privileges_of_one_level,
        users_and_roles_are_limited,
        a_backup_makes_the_same_elsewhere_or_nothing,
        access_is_the_same_after_a_restart,
        watchers_hear_of_every_change_of_access,
        concurrent_changes_of_access_are_all_made,
    }
    resource {
        the_default_group_has_all_nodes_and_stays,
        groups_come_and_go,
        configs_that_make_no_sense_are_refused_and_change_nothing,
        nodes_move_between_groups,
        a_replica_moves_and_has_no_place_any_more_when_it_is_released,
        the_number_of_groups_is_limited,
        groups_are_the_same_after_a_restart,
    }
    repeated {
        a_change_in_the_name_of_a_request_is_known_afterwards,
        of_one_id_only_the_last_request_is_known,
        a_change_that_failed_or_is_not_the_last_is_not_known,
        requests_are_forgotten_after_a_while_and_when_they_are_too_many,
    }
    life {
        everything_is_there_after_a_restart,
        another_number_of_channels_is_refused,
        ids_are_never_handed_out_twice,
        time_goes_on_above_the_old_time_after_a_restart,
        a_checkpoint_only_moves_forward,
        an_owner_that_lost_its_place_can_change_nothing,
        concurrent_changes_of_all_kinds_leave_one_consistent_state,
    }
}

/// Runs a behaviour on a back end.
fn run<F: Future<Output = ()>>(kind: Kind, behaviour: impl FnOnce(Arc<Home>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(home) = Home::new(kind).await else {
            eprintln!("skipped: MILLSTREAM_TEST_POSTGRES is not set");
            return;
        };
        let home = Arc::new(home);
        behaviour(Arc::clone(&home)).await;
        if let Some(home) = Arc::into_inner(home) {
            home.remove().await;
        }
    });
}

/// A request id.
fn request(n: u128) -> RequestId {
    RequestId(n)
}

/// A request for a collection with an int64 key and a vector.
fn new_collection(database: &str, name: &str) -> NewCollection {
    let field = |id: i64, name: &str, data_type, dim| FieldSchema {
        is_primary: id == 100,
        dim,
        type_params: if dim > 0 { vec![("dim".to_owned(), dim.to_string())] } else { Vec::new() },
        ..FieldSchema::new(FieldId(id), name, data_type)
    };
    let schema = CollectionSchema {
        name: name.to_owned(),
        description: "words and \"quotes\"; 语".to_owned(),
        enable_dynamic_field: false,
        fields: vec![
            field(100, "pk", DataType::Int64, 0),
            field(101, "v", DataType::FloatVector, 8),
            field(102, "n", DataType::Int64, 0),
        ],
        version: 0,
        functions: Vec::new(),
    };
    NewCollection {
        database: database.to_owned(),
        name: name.to_owned(),
        schema: Arc::new(schema),
        shards: 2,
        partitions: 0,
        consistency: ConsistencyLevel::Bounded,
        properties: vec![("ttl".to_owned(), "5".to_owned())],
    }
}

/// A request for an index.
fn new_index(name: &str, field: i64, metric: &str) -> NewIndex {
    let p = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let params = vec![p("index_type", "FLAT"), p("metric_type", metric)];
    NewIndex { name: name.to_owned(), field: FieldId(field), params }
}

/// The intent of a new collection.
fn intent(created: Created) -> Intent {
    match created {
        Created::Intent(intent) => intent,
        Created::Same(there) => panic!("{} is there already", there.name),
    }
}

/// Creates a collection to the end.
async fn create(catalog: &Opened, name: &str) -> Arc<Collection> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 32);
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let made = catalog.collection_create(request(id.into()), new_collection("default", name));
    let intent = intent(made.await.unwrap());
    catalog.intent_finish(intent.id).await.unwrap();
    catalog.collection_get("default", name).await.unwrap()
}

/// Drops a collection to the end.
async fn drop_whole(catalog: &Opened, name: &str) {
    let intent = catalog.collection_drop("default", name).await.unwrap().unwrap();
    catalog.intent_finish(intent.id).await.unwrap();
}
