//! Wrong names of everything that has one, aliases, renames and changes in place.
// tidy: table

mod calls;
mod properties;

pub(crate) use calls::{collection_names, other_names};
pub(crate) use properties::{fields_and_indexes, properties_of_all};

use millstream_gateway::pb::schema::DataType;
use millstream_gateway::pb::{
    AlterAliasRequest, AlterCollectionFieldRequest, AlterCollectionRequest, AlterIndexRequest,
    CreateAliasRequest, CreateDatabaseRequest, DescribeAliasRequest, DropAliasRequest,
    DropCollectionRequest, ListAliasesRequest, RenameCollectionRequest,
};
use millstream_tests::client::{Client, accept, message};
use millstream_tests::rows::{field, int_key, pair, schema, text_field, vector_field};

use super::{Case, DIM, INVALID, PLAIN, case};

/// Makes the alias `alias` of `good`, the collection `fields` with its alias `other`, both
/// released, and the database `else`.
pub(crate) async fn prepare(client: &Client) {
    let fields = vec![
        int_key(),
        text_field("word", 8),
        field("number", DataType::Int64),
        vector_field("vector", DIM),
    ];
    client.create(&schema("fields", fields), 1).await.expect("a collection");
    client.index("fields", "vector", "L2").await.expect("an index");
    for (alias, collection) in [("alias", "good"), ("other", "fields")] {
        let answer = message(client.rpc().create_alias(alias_of(alias, collection)).await);
        accept(Some(&answer.expect("an answer"))).expect("an alias");
    }
    let database =
        CreateDatabaseRequest { db_name: "else".to_owned(), ..CreateDatabaseRequest::default() };
    let answer = message(client.rpc().create_database(database).await).expect("an answer");
    accept(Some(&answer)).expect("a database");
}

/// Nothing of the refused changes can be seen.
pub(crate) async fn expect_nothing_changed(client: &Client) {
    let all = ListAliasesRequest::default();
    let all = message(client.rpc().list_aliases(all).await).expect("an answer");
    assert_eq!(all.aliases, ["alias", "other"]);
    for (name, alias) in [("good", "alias"), ("fields", "other")] {
        let request = millstream_gateway::pb::DescribeCollectionRequest {
            collection_name: alias.to_owned(),
            ..Default::default()
        };
        let found = message(client.rpc().describe_collection(request).await).expect("an answer");
        accept(found.status.as_ref()).expect("a description");
        assert_eq!((&*found.collection_name, &*found.aliases), (name, &[alias.to_owned()][..]));
        assert_eq!(found.properties, []);
        let schema = found.schema.expect("a schema");
        let params: Vec<String> = schema
            .fields
            .iter()
            .flat_map(|f| &f.type_params)
            .map(|p| format!("{}={}", p.key, p.value))
            .collect();
        let want = if name == "good" { &["dim=4"][..] } else { &["max_length=8", "dim=4"] };
        assert_eq!(params, want);
    }
}

fn alias_of(alias: &str, collection: &str) -> CreateAliasRequest {
    CreateAliasRequest {
        alias: alias.to_owned(),
        collection_name: collection.to_owned(),
        ..CreateAliasRequest::default()
    }
}

fn moved(alias: &str, collection: &str) -> AlterAliasRequest {
    AlterAliasRequest {
        alias: alias.to_owned(),
        collection_name: collection.to_owned(),
        ..AlterAliasRequest::default()
    }
}

fn dropped(alias: &str) -> DropAliasRequest {
    DropAliasRequest { alias: alias.to_owned(), ..DropAliasRequest::default() }
}

fn described(alias: &str) -> DescribeAliasRequest {
    DescribeAliasRequest { alias: alias.to_owned(), ..DescribeAliasRequest::default() }
}

fn listed(collection: &str) -> ListAliasesRequest {
    ListAliasesRequest { collection_name: collection.to_owned(), ..ListAliasesRequest::default() }
}

fn renamed(from: &str, to: &str) -> RenameCollectionRequest {
    RenameCollectionRequest {
        old_name: from.to_owned(),
        new_name: to.to_owned(),
        ..RenameCollectionRequest::default()
    }
}

fn properties(collection: &str, set: &[(&str, &str)], drop: &[&str]) -> AlterCollectionRequest {
    AlterCollectionRequest {
        collection_name: collection.to_owned(),
        properties: set.iter().map(|(key, value)| pair(key, value)).collect(),
        delete_keys: drop.iter().map(|&key| key.to_owned()).collect(),
        ..AlterCollectionRequest::default()
    }
}

fn of_field(field: &str, set: &[(&str, &str)], drop: &[&str]) -> AlterCollectionFieldRequest {
    AlterCollectionFieldRequest {
        collection_name: "fields".to_owned(),
        field_name: field.to_owned(),
        properties: set.iter().map(|(key, value)| pair(key, value)).collect(),
        delete_keys: drop.iter().map(|&key| key.to_owned()).collect(),
        ..AlterCollectionFieldRequest::default()
    }
}

fn of_index(index: &str, set: &[(&str, &str)], drop: &[&str]) -> AlterIndexRequest {
    AlterIndexRequest {
        collection_name: "fields".to_owned(),
        index_name: index.to_owned(),
        extra_params: set.iter().map(|(key, value)| pair(key, value)).collect(),
        delete_keys: drop.iter().map(|&key| key.to_owned()).collect(),
        ..AlterIndexRequest::default()
    }
}

/// Names that neither a collection nor an alias can have, with what is said of each; `NAME`
/// stands for the word that the refusal has for it.
fn bad_names() -> Vec<(String, &'static str)> {
    let first = "the first character of a collection NAME must be an underscore or letter";
    let letters = "collection NAME can only contain numbers, letters and underscores";
    let long = "the length of a collection NAME must be less than 255 characters";
    vec![
        (String::new(), "collection NAME should not be empty"),
        (" ".to_owned(), first),
        ("1abc".to_owned(), first),
        ("-abc".to_owned(), first),
        ("$abc".to_owned(), first),
        ("中文".to_owned(), first),
        ("a-b".to_owned(), letters),
        ("a b".to_owned(), letters),
        ("a(b)".to_owned(), letters),
        ("a%$#".to_owned(), letters),
        ("größe".to_owned(), letters),
        ("a.b".to_owned(), letters),
        ("a\0b".to_owned(), letters),
        ("a\n".to_owned(), letters),
        ("\u{feff}a".to_owned(), first),
        ("a".repeat(256), long),
    ]
}

/// Every name of every call, with every bad name.
pub(crate) fn spellings() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in bad_names() {
        let what: String = format!("{name:?}").chars().take(8).collect();
        let alias = text.replace("NAME", "alias");
        let own = text.replace("NAME", "name");
        let mut refuse = |request: super::Request, text: &str| {
            cases.push(case(what.clone(), request, INVALID, text));
        };
        refuse(alias_of(&name, "good").into(), &alias);
        refuse(moved(&name, "good").into(), &alias);
        refuse(dropped(&name).into(), &alias);
        refuse(described(&name).into(), &alias);
        refuse(alias_of("fresh", &name).into(), &own);
        refuse(moved("alias", &name).into(), &own);
        refuse(renamed(&name, "fresh").into(), &own);
        refuse(renamed("good", &name).into(), &own);
        refuse(properties(&name, &[("a", "b")], &[]).into(), &own);
        let on_name = AlterCollectionFieldRequest {
            collection_name: name.clone(),
            ..of_field("word", &[("max_length", "9")], &[])
        };
        refuse(on_name.into(), &own);
        let on_name = AlterIndexRequest {
            collection_name: name.clone(),
            ..of_index("vector", &[("mmap.enabled", "true")], &[])
        };
        refuse(on_name.into(), &own);
        // Without a name all aliases of the database are listed.
        if !name.is_empty() {
            refuse(listed(&name).into(), &own);
        }
    }
    cases
}

/// Aliases and names that are missing, taken, or used for what they are not for.
pub(crate) fn aliases_and_names() -> Vec<Case> {
    let missing = "collection not found[database=default][collection=missing]";
    let no_alias = "alias not found[database=default][alias=missing]";
    let no_database = "database not found[database=nowhere]";
    let nowhere = || "nowhere".to_owned();
    let drop = |name: &str| DropCollectionRequest {
        collection_name: name.to_owned(),
        ..DropCollectionRequest::default()
    };
    vec![
        case("no collection", alias_of("fresh", "missing"), 100, missing),
        case("an alias as collection", alias_of("fresh", "alias"), 100, "[collection=alias]"),
        case("an alias of itself", alias_of("fresh", "fresh"), 100, "[collection=fresh]"),
        case(
            "the name of its collection",
            alias_of("good", "good"),
            1_601,
            "alias and collection name conflict[database=default][alias=good]",
        ),
        case(
            "the name of another collection",
            alias_of("idle", "good"),
            1_601,
            "alias and collection name conflict[database=default][alias=idle]",
        ),
        case(
            "an alias of another collection",
            alias_of("alias", "fields"),
            1_602,
            "alias is alias to another collection: good: alias already \
             exist[database=default][alias=alias]",
        ),
        case(
            "no database",
            CreateAliasRequest { db_name: nowhere(), ..alias_of("fresh", "good") },
            800,
            no_database,
        ),
        case("no alias", moved("missing", "good"), 1_600, no_alias),
        case("no collection", moved("alias", "missing"), 100, missing),
        case("an alias as collection", moved("alias", "other"), 100, "[collection=other]"),
        case("a collection as alias", moved("idle", "good"), 1_601, "[alias=idle]"),
        case(
            "no database",
            AlterAliasRequest { db_name: nowhere(), ..moved("alias", "good") },
            800,
            no_database,
        ),
        case(
            "no database",
            DropAliasRequest { db_name: nowhere(), ..dropped("alias") },
            800,
            no_database,
        ),
        case("no alias", described("missing"), 1_600, no_alias),
        case("a collection as alias", described("good"), 1_600, "[alias=good]"),
        case(
            "an alias of another database",
            DescribeAliasRequest { db_name: "else".to_owned(), ..described("alias") },
            1_600,
            "alias not found[database=else][alias=alias]",
        ),
        case(
            "no database",
            DescribeAliasRequest { db_name: nowhere(), ..described("alias") },
            800,
            no_database,
        ),
        case("no collection", listed("missing"), 100, missing),
        case("an alias as collection", listed("alias"), 100, "[collection=alias]"),
        case(
            "no database",
            ListAliasesRequest { db_name: nowhere(), ..listed("") },
            800,
            no_database,
        ),
        case("an alias", drop("alias"), PLAIN, "cannot drop the collection via alias = alias"),
        case(
            "a collection with an alias",
            drop("good"),
            PLAIN,
            "unable to drop the collection [good] because it has associated aliases [alias], \
             please remove all aliases before dropping the collection",
        ),
        case("no collection", renamed("missing", "fresh"), 100, missing),
        case(
            "an alias",
            renamed("alias", "fresh"),
            PLAIN,
            "unsupported use an alias to rename collection, alias:alias",
        ),
        case(
            "to an alias",
            renamed("good", "other"),
            PLAIN,
            "cannot rename collection to an existing alias: other",
        ),
        case(
            "to its own alias",
            renamed("good", "alias"),
            PLAIN,
            "cannot rename collection to an existing alias: alias",
        ),
        case(
            "to another collection",
            renamed("good", "idle"),
            PLAIN,
            "duplicated new collection name default:idle with other collection name or alias",
        ),
        case(
            "to itself",
            renamed("good", "good"),
            PLAIN,
            "duplicated new collection name default:good with other collection name or alias",
        ),
        case(
            "out of no database",
            RenameCollectionRequest { db_name: nowhere(), ..renamed("good", "fresh") },
            800,
            no_database,
        ),
        case(
            "into no database",
            RenameCollectionRequest { new_db_name: nowhere(), ..renamed("good", "fresh") },
            800,
            "target database:nowhere not found: database not found[database=nowhere]",
        ),
        case(
            "into another database with an alias",
            RenameCollectionRequest { new_db_name: "else".to_owned(), ..renamed("good", "good") },
            PLAIN,
            "must drop all aliases of this collection before rename, collection: good",
        ),
        case(
            "of another database",
            RenameCollectionRequest { db_name: "else".to_owned(), ..renamed("good", "fresh") },
            100,
            "collection not found[database=else][collection=good]",
        ),
    ]
}
