//! All that clients can see, as lines of text: equal lines mean that nothing differs.

use millstream_gateway::pb::*;
use millstream_tests::client::{Client, Trouble, accept, hits, message, query, search};
use millstream_tests::rows::{int_ids, read_longs};

use crate::kinds::{DIM, GROUPS_BUILT_IN};

/// What there is, without ids and times.
pub(crate) async fn view(client: &Client) -> Vec<String> {
    let mut lines = Vec::new();
    let answer = message(client.rpc().list_databases(ListDatabasesRequest::default()).await);
    for database in answer.expect("databases").db_names {
        let request = DescribeDatabaseRequest { db_name: database.clone(), ..Default::default() };
        let found = message(client.rpc().describe_database(request).await).expect("a database");
        lines.push(format!("database {database} {:?}", pairs(&found.properties)));
        collections(client, &database, &mut lines).await;
    }
    access(client, &mut lines).await;
    groups(client, &mut lines).await;
    lines.sort();
    lines
}

fn pairs(pairs: &[common::KeyValuePair]) -> Vec<String> {
    let mut all: Vec<String> = pairs.iter().map(|p| format!("{}={}", p.key, p.value)).collect();
    all.sort();
    all
}

async fn collections(client: &Client, database: &str, lines: &mut Vec<String>) {
    let db_name = database.to_owned();
    let request = ShowCollectionsRequest { db_name: db_name.clone(), ..Default::default() };
    let shown = message(client.rpc().show_collections(request).await).expect("collections");
    let request = ListAliasesRequest { db_name: db_name.clone(), ..Default::default() };
    let mut aliases = message(client.rpc().list_aliases(request).await).expect("aliases").aliases;
    aliases.sort();
    lines.push(format!("aliases of {database} {aliases:?}"));
    for name in shown.collection_names {
        collection(client, database, &name, lines).await;
    }
}

async fn collection(client: &Client, database: &str, name: &str, lines: &mut Vec<String>) {
    let (db_name, collection_name) = (database.to_owned(), name.to_owned());
    let request = DescribeCollectionRequest {
        db_name: db_name.clone(),
        collection_name: collection_name.clone(),
        ..Default::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a collection that is shown is described");
    let at = format!("{database}/{name}");
    let mut names = answer.aliases;
    names.sort();
    lines.push(format!(
        "{at} {} shards, {} partitions, {names:?}, {:?}",
        answer.shards_num,
        answer.num_partitions,
        pairs(&answer.properties)
    ));
    for field in answer.schema.expect("a schema").fields {
        let params = pairs(&field.type_params);
        let (number, data_type, null) = (field.field_id, field.data_type, field.nullable);
        lines.push(format!("{at}.{} {number} {data_type} {params:?} {null}", field.name));
    }
    let request = ShowPartitionsRequest {
        db_name: db_name.clone(),
        collection_name: collection_name.clone(),
        ..Default::default()
    };
    let shown = message(client.rpc().show_partitions(request).await).expect("partitions");
    for (partition, loaded) in shown.partition_names.iter().zip(&shown.in_memory_percentages) {
        lines.push(format!("{at}/{partition} loaded {loaded} %"));
    }
    let request = GetLoadStateRequest {
        db_name: db_name.clone(),
        collection_name: collection_name.clone(),
        ..Default::default()
    };
    let loaded = message(client.rpc().get_load_state(request).await).expect("a state").state;
    lines.push(format!("{at} load state {loaded}"));
    let request =
        DescribeIndexRequest { db_name, collection_name, ..DescribeIndexRequest::default() };
    let found = message(client.rpc().describe_index(request).await).expect("indexes");
    for index in found.index_descriptions {
        let params = pairs(&index.params);
        lines.push(format!("{at} index {} on {} {params:?}", index.index_name, index.field_name));
    }
    rows(client, database, name, lines).await;
}

/// The rows that a query and a search find, or the code of the refusal.
async fn rows(client: &Client, database: &str, name: &str, lines: &mut Vec<String>) {
    let at = format!("{database}/{name}");
    let mut request = query(name, "id >= 0", &["id"]);
    request.db_name = database.to_owned();
    match client.query(request).await {
        Ok(answer) => {
            let mut ids = read_longs(&answer.fields_data, "id");
            ids.sort_unstable();
            lines.push(format!("{at} rows {ids:?}"));
        }
        Err(Trouble::Refused(status)) => lines.push(format!("{at} query code {}", status.code)),
        Err(lost) => panic!("{at}: {lost}"),
    }
    let mut request = search(name, DIM, &[1.0; DIM], 3);
    request.db_name = database.to_owned();
    match client.search(request).await {
        Ok(answer) => {
            lines.push(format!("{at} near {:?}", int_ids(hits(&answer).ids.as_ref())));
        }
        Err(Trouble::Refused(status)) => lines.push(format!("{at} search code {}", status.code)),
        Err(lost) => panic!("{at}: {lost}"),
    }
}

async fn access(client: &Client, lines: &mut Vec<String>) {
    let request = SelectUserRequest { include_role_info: true, ..Default::default() };
    let found = message(client.rpc().select_user(request).await).expect("users");
    for user in found.results {
        let mut roles: Vec<String> = user.roles.into_iter().map(|role| role.name).collect();
        roles.sort();
        let name = user.user.unwrap_or_default().name;
        lines.push(format!("user {name} {:?} {roles:?}", user.description));
    }
    let found = message(client.rpc().select_role(SelectRoleRequest::default()).await);
    for role in found.expect("roles").results {
        let role = role.role.unwrap_or_default();
        lines.push(format!("role {} {:?}", role.name, role.description));
        let entity =
            GrantEntity { role: Some(role.clone()), db_name: "*".to_owned(), ..Default::default() };
        let request = SelectGrantRequest { entity: Some(entity), ..Default::default() };
        let found = message(client.rpc().select_grant(request).await).expect("grants");
        for grant in found.entities {
            let object = grant.object.unwrap_or_default().name;
            let privilege = grant.grantor.unwrap_or_default().privilege.unwrap_or_default().name;
            let on = (&grant.db_name, object, &grant.object_name);
            lines.push(format!("grant to {} {privilege} {on:?}", role.name));
        }
    }
    let found =
        message(client.rpc().list_privilege_groups(ListPrivilegeGroupsRequest::default()).await);
    for group in found.expect("groups of privileges").privilege_groups {
        if GROUPS_BUILT_IN.iter().any(|name| group.group_name.starts_with(name)) {
            continue;
        }
        let mut names: Vec<String> = group.privileges.into_iter().map(|p| p.name).collect();
        names.sort();
        lines.push(format!("group {} {names:?}", group.group_name));
    }
}

async fn groups(client: &Client, lines: &mut Vec<String>) {
    let found =
        message(client.rpc().list_resource_groups(ListResourceGroupsRequest::default()).await);
    for name in found.expect("resource groups").resource_groups {
        let request =
            DescribeResourceGroupRequest { resource_group: name.clone(), ..Default::default() };
        let found = message(client.rpc().describe_resource_group(request).await).expect("a group");
        let group = found.resource_group.expect("a group");
        let mut replicas: Vec<_> = group.num_loaded_replica.into_iter().collect();
        replicas.sort();
        lines.push(format!(
            "resource group {name} {} {} {replicas:?} {:?}",
            group.capacity, group.num_available_node, group.config
        ));
    }
}
