//! Many names: collections, partitions and databases up to what one server is made for.

use std::time::{Duration, Instant};

use millstream_benches::client::{Client, Failure};
use millstream_benches::report::Figure;
use millstream_benches::sample::Sample;
use millstream_benches::server::{Server, Setup};

use crate::{Bench, DIM};

/// What there is to be in the end, before the scale.
const COLLECTIONS: usize = 10_000;
const PARTITIONS: usize = 4_096;
const DATABASES: usize = 1_000;

/// Longest time of 99 of 100 creations at the end.
const CREATE_MS_MAX: f64 = 30.0;

fn collection(number: usize) -> String {
    format!("c{number:05}")
}

/// How long creations take when there are many names, how long a warm description, how much memory
/// a collection needs, and how long a start takes with all of them.
pub(crate) async fn names(bench: &Bench) -> Result<(), Failure> {
    let count = bench.times(COLLECTIONS);
    let mut setup = Setup::clone(&bench.setup);
    setup.extra.extend(["--max-databases".to_owned(), (DATABASES + 1).to_string()]);
    let mut server = Server::start(&setup).await?;
    let mut client = server.connect().await?;
    let before = server.resident_mib();
    let mut last = Sample::default();
    for number in 0..count {
        let began = Instant::now();
        client.collection_define(&collection(number), DIM).await?;
        if number + count.min(1_000) >= count {
            last.add(began.elapsed());
        }
    }
    created("collection", count, &last);
    let kib = (server.resident_mib() - before) * 1024.0 / count as f64;
    Figure::new("collection_memory", kib, "KiB").print();
    described(&mut client, count).await?;

    let began = Instant::now();
    drop(client);
    server.kill_and_restart()?;
    let mut client = server.connect().await?;
    while client.describe(&collection(count - 1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Figure::new(format!("start_with_{count}_collections"), began.elapsed().as_secs_f64(), "s")
        .at_most(2.0)
        .print();

    let count = bench.times(PARTITIONS).min(PARTITIONS);
    let mut last = Sample::default();
    // The first one, `_default`, came with the collection.
    for number in 1..count {
        let began = Instant::now();
        client.partition_create(&collection(0), &format!("p{number}")).await?;
        if number + count.min(400) >= count {
            last.add(began.elapsed());
        }
    }
    created("partition", count, &last);

    let count = bench.times(DATABASES).min(DATABASES);
    let mut last = Sample::default();
    for number in 1..count {
        let began = Instant::now();
        client.database_create(&format!("d{number}")).await?;
        if number + count.min(200) >= count {
            last.add(began.elapsed());
        }
    }
    created("database", count, &last);
    Ok(())
}

fn created(what: &str, count: usize, last: &Sample) {
    let name = format!("create_{what}_p50_at_{count}");
    Figure::new(name, last.median_ms(), "ms").print();
    let name = format!("create_{what}_p99_at_{count}");
    Figure::new(name, last.quantile_ms(0.99), "ms").at_most(CREATE_MS_MAX).print();
}

/// Describes the collections that came last over and over.
async fn described(client: &mut Client, count: usize) -> Result<(), Failure> {
    let warm: Vec<String> = (count - count.min(1_000)..count).map(collection).collect();
    for name in &warm {
        client.describe(name).await?;
    }
    let mut sample = Sample::default();
    for name in warm.iter().cycle().take(10 * warm.len()) {
        let began = Instant::now();
        let fields = client.describe(name).await?;
        sample.add(began.elapsed());
        if fields != 4 {
            return Err(Failure::Wrong(format!("{name} has {fields} fields")));
        }
    }
    Figure::new("describe_warm_p50", sample.median_ms(), "ms").print();
    Figure::new("describe_warm_p99", sample.quantile_ms(0.99), "ms").at_most(1.0).print();
    Ok(())
}
