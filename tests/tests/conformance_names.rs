//! Aliases and renaming: every RPC that takes a collection's name, under its other names.

use millstream_gateway::pb::schema::CollectionSchema;
use millstream_gateway::pb::{
    AlterAliasRequest, CreateAliasRequest, CreateCollectionRequest, CreateDatabaseRequest,
    CreatePartitionRequest, DescribeAliasRequest, DescribeCollectionRequest,
    DescribeCollectionResponse, DescribeIndexRequest, DropAliasRequest, DropDatabaseRequest,
    DropIndexRequest, DropPartitionRequest, FlushRequest, GetCollectionStatisticsRequest,
    GetLoadStateRequest, GetLoadingProgressRequest, HasCollectionRequest, HasPartitionRequest,
    ListAliasesRequest, LoadCollectionRequest, LoadPartitionsRequest, ReleaseCollectionRequest,
    ReleasePartitionsRequest, RenameCollectionRequest, ShowCollectionsRequest,
    ShowPartitionsRequest,
};
use millstream_tests::client::{Answer, Client, Trouble, accept, hits, message, query, search};
use millstream_tests::on_both;
use millstream_tests::rows::{int_ids, longs, plain_schema, read_longs, vectors};
use millstream_tests::site::Site;
use prost::Message;

async fn alias(client: &Client, alias: &str, collection: &str) -> Answer<()> {
    let request = CreateAliasRequest {
        collection_name: collection.to_owned(),
        alias: alias.to_owned(),
        ..CreateAliasRequest::default()
    };
    accept(Some(&message(client.rpc().create_alias(request).await)?))
}

async fn move_alias(client: &Client, alias: &str, collection: &str) -> Answer<()> {
    let request = AlterAliasRequest {
        collection_name: collection.to_owned(),
        alias: alias.to_owned(),
        ..AlterAliasRequest::default()
    };
    accept(Some(&message(client.rpc().alter_alias(request).await)?))
}

async fn drop_alias(client: &Client, alias: &str) -> Answer<()> {
    let request = DropAliasRequest { alias: alias.to_owned(), ..DropAliasRequest::default() };
    accept(Some(&message(client.rpc().drop_alias(request).await)?))
}

async fn meaning(client: &Client, alias: &str) -> Answer<String> {
    let request =
        DescribeAliasRequest { alias: alias.to_owned(), ..DescribeAliasRequest::default() };
    let answer = message(client.rpc().describe_alias(request).await)?;
    accept(answer.status.as_ref())?;
    assert_eq!((&*answer.alias, &*answer.db_name), (alias, "default"));
    Ok(answer.collection)
}

async fn aliases(client: &Client, collection: &str) -> Answer<Vec<String>> {
    let request = ListAliasesRequest {
        collection_name: collection.to_owned(),
        ..ListAliasesRequest::default()
    };
    let answer = message(client.rpc().list_aliases(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.aliases)
}

async fn describe(client: &Client, name: &str) -> Answer<DescribeCollectionResponse> {
    let request = DescribeCollectionRequest {
        collection_name: name.to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer)
}

async fn rename(client: &Client, from: [&str; 2], to: [&str; 2]) -> Answer<()> {
    let request = RenameCollectionRequest {
        db_name: from[0].to_owned(),
        old_name: from[1].to_owned(),
        new_db_name: to[0].to_owned(),
        new_name: to[1].to_owned(),
        ..RenameCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().rename_collection(request).await)?))
}

async fn insert(client: &Client, name: &str, keys: &[i64]) {
    let columns = vec![
        longs("id", keys.to_vec()),
        longs("value", vec![7; keys.len()]),
        vectors("vector", 4, &vec![0.5; keys.len() * 4]),
    ];
    client.insert(name, keys.len(), columns).await.expect("rows");
}

#[track_caller]
fn expect(outcome: Answer<impl std::fmt::Debug>, code: i32, text: &str) {
    let trouble: Trouble = outcome.expect_err("a refusal");
    assert_eq!(trouble.code(), code, "{trouble}");
    assert!(trouble.to_string().contains(text), "{trouble}");
}

/// An alias is described and listed, moves in one step and survives a crash.
async fn aliases_come_go_and_move(mut site: Site) {
    let client = site.client();
    for (name, key) in [("blue", 1), ("green", 2)] {
        client.prepare(name, 4, 2).await.expect("a collection");
        insert(&client, name, &[key]).await;
    }
    alias(&client, "live", "blue").await.expect("an alias");
    alias(&client, "live", "blue").await.expect("the same again is fine");
    alias(&client, "next", "green").await.expect("an alias");
    assert_eq!(describe(&client, "blue").await.expect("a description").aliases, ["live"]);
    assert_eq!(aliases(&client, "blue").await.expect("a list"), ["live"]);
    assert_eq!(aliases(&client, "").await.expect("those of the database"), ["live", "next"]);
    assert_eq!(meaning(&client, "live").await.expect("a collection"), "blue");

    move_alias(&client, "live", "green").await.expect("a move");
    move_alias(&client, "live", "green").await.expect("a move to where it is");
    assert_eq!(describe(&client, "green").await.expect("a description").aliases, ["next", "live"]);
    assert_eq!(describe(&client, "blue").await.expect("a description").aliases, [""; 0]);
    for round in 0..2 {
        assert_eq!(meaning(&client, "live").await.expect("a collection"), "green");
        let rows = client.query(query("live", "id > 0", &["id"])).await.expect("rows");
        assert_eq!(read_longs(&rows.fields_data, "id"), [2]);
        if round == 0 {
            site.kill();
            site.restart().expect("a server that starts again");
        }
    }
    expect(client.drop("green").await, 65_535, "unable to drop the collection [green] because");
    expect(client.drop("live").await, 65_535, "cannot drop the collection via alias = live");
    drop_alias(&client, "live").await.expect("a drop");
    drop_alias(&client, "next").await.expect("a drop");
    drop_alias(&client, "live").await.expect("a drop of what is gone");
    drop_alias(&client, "blue").await.expect("a drop of what is no alias");
    assert_eq!(describe(&client, "blue").await.expect("it is there").aliases, [""; 0]);
    expect(meaning(&client, "live").await, 1_600, "alias not found[database=default][alias=live]");
    expect(client.count("live", "").await, 100, "collection not found[database=default]");
    client.drop("green").await.expect("a drop");
    assert_eq!(aliases(&client, "").await.expect("a list"), [""; 0]);
}
on_both!(aliases_come_go_and_move);

/// What an alias is refused for, and what is refused for an alias.
async fn a_name_means_one_thing(site: Site) {
    let client = site.client();
    for name in ["one", "two"] {
        client.create(&plain_schema(name, 4), 1).await.expect("a collection");
    }
    alias(&client, "other", "one").await.expect("an alias");
    let conflict = "alias and collection name conflict[database=default][alias=two]";
    expect(alias(&client, "two", "one").await, 1_601, conflict);
    expect(move_alias(&client, "two", "one").await, 1_601, conflict);
    let text = "other is alias to another collection: one: alias already \
                exist[database=default][alias=other]";
    expect(alias(&client, "other", "two").await, 1_602, text);
    let missing = "collection not found[database=default][collection=other]";
    expect(alias(&client, "more", "other").await, 100, missing);
    expect(aliases(&client, "other").await, 100, missing);
    let text = "alias not found[database=default][alias=more]";
    expect(move_alias(&client, "more", "one").await, 1_600, text);
    expect(meaning(&client, "one").await, 1_600, "[alias=one]");
    let text = "collection name [other] conflicts with an existing alias";
    expect(client.create(&plain_schema("other", 4), 1).await, 65_535, text);
    let text = "unsupported use an alias to rename collection, alias:other";
    expect(rename(&client, ["", "other"], ["", "new"]).await, 65_535, text);
    let text = "cannot rename collection to an existing alias: other";
    expect(rename(&client, ["", "two"], ["", "other"]).await, 65_535, text);
    assert_eq!(aliases(&client, "").await.expect("a list"), ["other"]);

    let elsewhere = CreateDatabaseRequest {
        db_name: "elsewhere".to_owned(),
        ..CreateDatabaseRequest::default()
    };
    let answer = message(client.rpc().create_database(elsewhere).await).expect("an answer");
    accept(Some(&answer)).expect("a database");
    let request = DescribeAliasRequest {
        db_name: "elsewhere".to_owned(),
        alias: "other".to_owned(),
        ..DescribeAliasRequest::default()
    };
    let answer = message(client.rpc().describe_alias(request).await).expect("an answer");
    expect(accept(answer.status.as_ref()), 1_600, "[database=elsewhere][alias=other]");
}
on_both!(a_name_means_one_thing);

/// Declares a check that an RPC whose answer is a status, or holds one, accepts an alias.
macro_rules! accepts {
    ($client:ident { $($call:ident $type:ident { $($field:ident: $value:expr),* },)* }) => {$(
        let request = $type {
            collection_name: "alias".to_owned(),
            $($field: $value,)*
            ..$type::default()
        };
        let answer = message($client.rpc().$call(request).await).expect("an answer");
        answer.verdict().unwrap_or_else(|trouble| panic!("{}: {trouble}", stringify!($call)));
    )*};
}

/// Whether an answer is good.
trait Verdict {
    fn verdict(&self) -> Answer<()>;
}

macro_rules! verdicts {
    ($($answer:ident),*) => {$(
        impl Verdict for millstream_gateway::pb::$answer {
            fn verdict(&self) -> Answer<()> {
                accept(self.status.as_ref())
            }
        }
    )*};
}

impl Verdict for millstream_gateway::pb::Status {
    fn verdict(&self) -> Answer<()> {
        accept(Some(self))
    }
}

verdicts!(
    DescribeCollectionResponse,
    BoolResponse,
    GetCollectionStatisticsResponse,
    ShowPartitionsResponse,
    GetLoadingProgressResponse,
    GetLoadStateResponse,
    DescribeIndexResponse
);

async fn every_call_accepts_an_alias(site: Site) {
    let client = site.client();
    client.prepare("real", 4, 2).await.expect("a collection");
    alias(&client, "alias", "real").await.expect("an alias");
    let some = || vec!["p".to_owned()];
    accepts!(client {
        has_collection HasCollectionRequest {},
        describe_collection DescribeCollectionRequest {},
        create_partition CreatePartitionRequest { partition_name: "p".to_owned() },
        has_partition HasPartitionRequest { partition_name: "p".to_owned() },
        show_partitions ShowPartitionsRequest {},
        load_partitions LoadPartitionsRequest { partition_names: some() },
        get_load_state GetLoadStateRequest {},
        get_loading_progress GetLoadingProgressRequest {},
        describe_index DescribeIndexRequest {},
    });
    insert(&client, "alias", &[1, 2, 3]).await;
    client.delete("alias", "id in [3]").await.expect("a delete");
    assert_eq!(client.count("real", "").await.expect("a count"), 2);
    assert_eq!(client.count("alias", "").await.expect("a count"), 2);
    let found = client.search(search("alias", 4, &[0.5; 4], 5)).await.expect("hits");
    assert_eq!(int_ids(hits(&found).ids.as_ref()), [1, 2]);
    let upsert =
        vec![longs("id", vec![2]), longs("value", vec![9]), vectors("vector", 4, &[0.0; 4])];
    client.upsert("alias", 1, upsert).await.expect("an upsert");
    let rows = client.query(query("real", "id == 2", &["value"])).await.expect("rows");
    assert_eq!(read_longs(&rows.fields_data, "value"), [9]);
    accepts!(client {
        get_collection_statistics GetCollectionStatisticsRequest {},
        release_partitions ReleasePartitionsRequest { partition_names: some() },
        drop_partition DropPartitionRequest { partition_name: "p".to_owned() },
        release_collection ReleaseCollectionRequest {},
        drop_index DropIndexRequest { field_name: "vector".to_owned() },
    });
    client.index("alias", "vector", "L2").await.expect("an index");
    accepts!(client { load_collection LoadCollectionRequest {}, });
    let flush =
        FlushRequest { collection_names: vec!["alias".to_owned()], ..FlushRequest::default() };
    let answer = message(client.rpc().flush(flush).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a flush");
    assert!(answer.coll_flush_ts.contains_key("alias"));

    let described = describe(&client, "alias").await.expect("a description");
    assert_eq!(described.collection_name, "real");
    assert_eq!(described.schema.expect("a schema").name, "real");
    let show = ShowCollectionsRequest {
        collection_names: vec!["alias".to_owned()],
        ..ShowCollectionsRequest::default()
    };
    let shown = message(client.rpc().show_collections(show).await).expect("an answer");
    accept(shown.status.as_ref()).expect("a list");
    assert_eq!(shown.collection_names, ["real"]);
}
on_both!(every_call_accepts_an_alias);

/// A renamed collection keeps its rows, indexes, load state, id and aliases.
async fn a_renamed_collection_keeps_what_it_has(mut site: Site) {
    let client = site.client();
    client.prepare("old", 4, 2).await.expect("a collection");
    insert(&client, "old", &[1, 2]).await;
    alias(&client, "alias", "old").await.expect("an alias");
    let before = describe(&client, "old").await.expect("a description");
    rename(&client, ["", "old"], ["", "new"]).await.expect("a rename");
    expect(describe(&client, "old").await, 100, "[collection=old]");
    expect(client.count("old", "").await, 100, "[database=default][collection=old]");
    for round in 0..2 {
        let after = describe(&client, "new").await.expect("a description");
        assert_eq!(after.collection_id, before.collection_id);
        assert_eq!(after.created_timestamp, before.created_timestamp);
        assert_eq!(after.aliases, ["alias"]);
        assert_eq!(after.schema.expect("a schema").name, "new");
        assert_eq!(client.count("new", "").await.expect("a count, for it is loaded"), 2);
        assert_eq!(client.count("alias", "").await.expect("a count"), 2);
        if round == 0 {
            site.kill();
            site.restart().expect("a server that starts again");
        }
    }
    let request = DescribeCollectionRequest {
        collection_name: "old".to_owned(),
        time_stamp: before.request_time,
        ..DescribeCollectionRequest::default()
    };
    let past = message(client.rpc().describe_collection(request).await).expect("an answer");
    accept(past.status.as_ref()).expect("history knows the old name");
    assert_eq!(past.collection_id, before.collection_id);

    client.prepare("old", 4, 1).await.expect("the name is free");
    assert_eq!(client.count("old", "").await.expect("a count"), 0);
    let text = "duplicated new collection name default:old with other collection name or alias";
    expect(rename(&client, ["", "new"], ["", "old"]).await, 65_535, text);
    let text = "duplicated new collection name default:new with other collection name or alias";
    expect(rename(&client, ["", "new"], ["", "new"]).await, 65_535, text);
    let text = "collection not found[database=default][collection=missing]";
    expect(rename(&client, ["", "missing"], ["", "found"]).await, 100, text);
}
on_both!(a_renamed_collection_keeps_what_it_has);

async fn count_in(client: &Client, database: &str, name: &str) -> Answer<i64> {
    let mut request = query(name, "", &["count(*)"]);
    request.db_name = database.to_owned();
    let answer = client.query(request).await?;
    Ok(read_longs(&answer.fields_data, "count(*)")[0])
}

/// A collection moves between databases with its rows; aliases stay behind, so they stop it.
async fn a_collection_moves_to_another_database(site: Site) {
    let client = site.client();
    let create =
        CreateDatabaseRequest { db_name: "library".to_owned(), ..CreateDatabaseRequest::default() };
    let answer = message(client.rpc().create_database(create).await).expect("an answer");
    accept(Some(&answer)).expect("a database");
    client.prepare("books", 4, 2).await.expect("a collection");
    insert(&client, "books", &[1, 2, 3]).await;
    alias(&client, "alias", "books").await.expect("an alias");
    let text = "must drop all aliases of this collection before rename, collection: books";
    expect(rename(&client, ["", "books"], ["library", "books"]).await, 65_535, text);
    drop_alias(&client, "alias").await.expect("a drop");
    let text = "target database:nowhere not found: database not found[database=nowhere]";
    expect(rename(&client, ["", "books"], ["nowhere", "books"]).await, 800, text);
    rename(&client, ["", "books"], ["library", "texts"]).await.expect("a move");
    expect(client.count("books", "").await, 100, "[collection=books]");
    assert_eq!(count_in(&client, "library", "texts").await.expect("a count"), 3);
    expect(count_in(&client, "default", "texts").await, 100, "[collection=texts]");

    let schema: CollectionSchema = plain_schema("texts", 4);
    let there = CreateCollectionRequest {
        collection_name: "texts".to_owned(),
        schema: schema.encode_to_vec().into(),
        shards_num: 1,
        ..CreateCollectionRequest::default()
    };
    let answer = message(client.rpc().create_collection(there).await).expect("an answer");
    accept(Some(&answer)).expect("the name is free in the other database");
    let text = "duplicated new collection name default:texts";
    expect(rename(&client, ["library", "texts"], ["default", "texts"]).await, 65_535, text);
    rename(&client, ["library", "texts"], ["default", "books"]).await.expect("a move back");
    assert_eq!(client.count("books", "").await.expect("a count"), 3);
    let drop =
        DropDatabaseRequest { db_name: "library".to_owned(), ..DropDatabaseRequest::default() };
    let answer = message(client.rpc().drop_database(drop).await).expect("an answer");
    accept(Some(&answer)).expect("it is empty");
}
on_both!(a_collection_moves_to_another_database);

/// Readers of an alias that moves to and fro always see one of its two collections, whole.
async fn readers_of_a_moving_alias_see_one_collection_or_the_other(site: Site) {
    let client = site.client();
    for (name, keys) in [("blue", &[1, 2][..]), ("green", &[10, 20, 30][..])] {
        client.prepare(name, 4, 2).await.expect("a collection");
        insert(&client, name, keys).await;
    }
    alias(&client, "live", "blue").await.expect("an alias");
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let client = site.client();
            tokio::spawn(async move {
                for _ in 0..60 {
                    let answer = client.query(query("live", "id > 0", &["id"])).await;
                    let keys = read_longs(&answer.expect("rows").fields_data, "id");
                    assert!(keys == [1, 2] || keys == [10, 20, 30], "{keys:?}");
                }
            })
        })
        .collect();
    for round in 0..20 {
        let name = ["green", "blue"][round % 2];
        move_alias(&client, "live", name).await.expect("a move");
        let keys = client.query(query("live", "id > 0", &["id"])).await.expect("rows");
        let count = read_longs(&keys.fields_data, "id").len();
        assert_eq!(count, [3, 2][round % 2], "a move is in force when it is answered");
    }
    for reader in readers {
        reader.await.expect("a reader that ends well");
    }
}
on_both!(readers_of_a_moving_alias_see_one_collection_or_the_other);
