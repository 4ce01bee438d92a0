//! Tests of the parameters of queries.

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
    pairs.iter().map(pair).collect()
}

fn schema() -> CollectionSchema {
    let field = |id, name: &str, data_type| FieldSchema::new(FieldId(id), name, data_type);
    CollectionSchema {
        name: "c".into(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            FieldSchema { is_primary: true, ..field(100, "id", DataType::Int64) },
            field(101, "city", DataType::VarChar),
            field(102, "price", DataType::Double),
            field(103, "doc", DataType::Json),
        ],
        version: 0,
        functions: Vec::new(),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_query_window_is_checked() {
    let read = |given: &[(&str, &str)]| query_params(&pairs(given));
    assert_eq!(read(&[]).unwrap().limit, None);
    assert_eq!(read(&[("limit", "5"), ("offset", "2")]).unwrap().offset, 2);
    let wide = read(&[("limit", "16384"), ("offset", "1")]).unwrap_err().message;
    assert_eq!(
        wide,
        "invalid max query result window, (offset+limit) should be in range [1, 16384], but got \
         16385"
    );
    assert!(read(&[("limit", "0")]).is_err());
    assert!(read(&[("limit", "1"), ("offset", "-1")]).is_err());
    let order = read(&[("order_by_fields", "price:desc")]).unwrap_err().message;
    assert_eq!(order, "ORDER BY requires explicit limit: invalid parameter");
}

#[test]
fn an_order_puts_nulls_where_it_says_or_where_they_belong() {
    let order = |steps: &[&str]| order_of(&schema(), &owned(steps));
    let step =
        |field, descending, nulls_first| OrderBy { field: FieldId(field), descending, nulls_first };
    assert_eq!(
        order(&["city", "price:desc", "id:ASC:nulls_first"]).unwrap(),
        [step(101, false, false), step(102, true, true), step(100, false, true)]
    );
    let text = |steps: &[&str]| order(steps).unwrap_err().message;
    assert!(text(&["city:up"]).contains("invalid order direction 'up' for field 'city'"));
    assert!(text(&["city:asc:first"]).contains("invalid null ordering 'first'"));
    assert!(text(&["town"]).contains("order_by field 'town' does not exist"));
    assert!(text(&["doc"]).contains("'doc' has type JSON which is not sortable"));
}

#[test]
fn aggregates_are_read_in_any_case_and_spacing() {
    let params = QueryParams { group_by: owned(&["city"]), ..QueryParams::default() };
    let output = owned(&["city", "COUNT ( * )", "sum(price)", "max( city )", "count(price)"]);
    let grouped = grouped(&schema(), &output, &params).unwrap().unwrap();
    let of = |op, field: Option<i64>| Aggregate { op, field: field.map(FieldId) };
    assert_eq!(grouped.group, [FieldId(101)]);
    assert_eq!(
        grouped.aggregates,
        [
            of(AggregateOp::Count, None),
            of(AggregateOp::Sum, Some(102)),
            of(AggregateOp::Max, Some(101)),
            of(AggregateOp::Count, Some(102)),
        ]
    );
    let places: Vec<&Source> = grouped.columns.iter().map(|(_, source)| source).collect();
    assert_eq!(places[..2], [&Source::Group(0), &Source::Aggregate(0)]);
    assert_eq!(grouped.columns[1].0, "COUNT ( * )");
}

#[test]
fn what_is_asked_for_twice_is_computed_once_and_too_much_is_refused() {
    let params = QueryParams { group_by: owned(&["city"]), ..QueryParams::default() };
    let output = owned(&["count(*)", "COUNT( * )", "city", "sum(price)", "count(*)", "city"]);
    let some = grouped(&schema(), &output, &params).unwrap().unwrap();
    assert_eq!(some.aggregates.len(), 2);
    let columns: Vec<(&str, &Source)> = some.columns.iter().map(|(n, s)| (&n[..], s)).collect();
    let wanted = [
        ("count(*)", &Source::Aggregate(0)),
        ("COUNT( * )", &Source::Aggregate(0)),
        ("city", &Source::Group(0)),
        ("sum(price)", &Source::Aggregate(1)),
    ];
    assert_eq!(columns, wanted);
    let many = vec!["count(*)".to_owned(); 129];
    let refused = grouped(&schema(), &many, &params).unwrap_err().message;
    assert!(refused.contains("may return 128 columns, but 129 are asked for"), "{refused}");

    let order = order_of(&schema(), &owned(&["city:desc", "id", "city", "id:desc"])).unwrap();
    assert_eq!(order.iter().map(|step| step.descending).collect::<Vec<_>>(), [true, false]);
    for key in ["order_by_fields", "group_by_fields"] {
        let fields = ["id"].repeat(65).join(",");
        let refused = query_params(&pairs(&[("limit", "1"), (key, &fields)])).unwrap_err();
        assert!(refused.message.contains(&format!("{key} names 65 fields")), "{refused}");
        assert!(query_params(&pairs(&[("limit", "1"), (key, &fields[3..])])).is_ok());
    }
}

#[test]
fn what_cannot_be_grouped_or_aggregated_is_refused() {
    let text = |group: &[&str], output: &[&str], order: &[&str]| {
        let params = QueryParams {
            group_by: owned(group),
            order_by: owned(order),
            ..QueryParams::default()
        };
        grouped(&schema(), &owned(output), &params).unwrap_err().message
    };
    assert!(text(&["price"], &["count(*)"], &[]).contains("unsupported data type Double"));
    assert!(text(&["town"], &["count(*)"], &[]).contains("field town not exist"));
    assert!(text(&["city"], &["price"], &[]).contains("output field price is neither"));
    assert!(text(&[], &["sum(city)"], &[]).contains("not supported on field city of type VarChar"));
    assert!(text(&[], &["sum(*)"], &[]).contains("needs the name of a field"));
    assert!(text(&["city"], &["count(*)"], &["id"]).contains("Valid targets are: [city]"));
    assert!(text(&["city"], &["count(*)"], &["count(*)"]).contains("aggregate expression"));
    let none = grouped(&schema(), &owned(&["id"]), &QueryParams::default());
    assert_eq!(none, Ok(None));
}
