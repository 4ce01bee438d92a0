//! Long, deep and large filters: answered or refused at once, on a small stack.

mod support;

use std::time::{Duration, Instant};

use millstream_catalog::model::Fault;
use millstream_expr::{PkList, Plan, limits, parse};
use support::{matches, measured_rows, measured_schema};

/// Parses on a thread with little stack and checks that a second is enough, unoptimized or not.
fn quick(text: String) -> Result<Plan, Fault> {
    let work = move || {
        let start = Instant::now();
        let result = parse(&text, &measured_schema());
        let copy = result.as_ref().ok().map(|plan| Plan::decode(&plan.encode()).map(drop));
        assert!(copy.is_none_or(|copy| copy.is_ok()));
        (result, start.elapsed())
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work).expect("a thread");
    let (result, took) = thread.join().expect("no panic");
    let bound = if OPTIMIZED { 1 } else { 30 };
    assert!(took < Duration::from_secs(bound), "took {took:?}");
    result
}

/// Whether the largest filters are quick enough to be tested.
const OPTIMIZED: bool = !cfg!(debug_assertions);

fn refusal(text: String) -> String {
    let fault = quick(text).expect_err("too much");
    assert_eq!(fault.code as i32, 1100);
    assert!(fault.message.len() < 3_000, "an error repeats the text only in part");
    fault.message
}

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn parentheses_nest_to_the_limit_and_not_beyond() {
    let max = limits::NESTING_MAX;
    assert!(quick(nested("(", "id > 3", ")", max)).is_ok());
    assert!(refusal(nested("(", "id > 3", ")", max + 1)).contains("nested deeper than 128"));
    assert!(refusal("(".repeat(1_000_000)).contains("nested deeper"));
    assert!(refusal("(".repeat(2 << 20)).contains("nested deeper"));
    assert!(refusal(format!("id > 1 or {}", "(".repeat(2 << 20))).contains("nested deeper"));
}

#[test]
fn prefixes_lists_and_calls_count_as_nesting() {
    let max = limits::NESTING_MAX;
    assert!(quick(nested("not (", "id > 3", ")", max / 2)).is_ok());
    for text in [
        nested("not (", "id > 3", ")", max),
        format!("id == {}1", "-".repeat(200_000)),
        format!("{} (id == 1)", "!".repeat(200_000)),
        nested("[", "1", "]", 200_000),
        format!("j[\"a\"] in {}", nested("[", "1", "]", 200_000)),
        "json_contains(".repeat(50_000),
        "exists ".repeat(100_000),
    ] {
        assert!(refusal(text).contains("nested deeper"));
    }
    let deep = format!("json_contains(j[\"l\"], {})", nested("[", "1", "]", max - 1));
    assert!(quick(deep).is_ok());
}

#[test]
fn alternating_connectives_at_full_depth_are_encoded_and_evaluated() {
    let open = "(id > 0 and (id < 9 or ".repeat(limits::NESTING_MAX / 2);
    let text = format!("{open}id == 5{}", "))".repeat(limits::NESTING_MAX / 2));
    let plan = quick(text).expect("within the limits");
    let copy = Plan::decode(&plan.encode()).expect("a plan");
    assert_eq!(matches(&copy, 10, &measured_rows()), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn long_flat_chains_are_loops() {
    let chain = |term: &str, word: &str, bytes: usize| {
        let times = bytes / (term.len() + word.len());
        [term].repeat(times).join(word)
    };
    let max = if OPTIMIZED { 1 << 20 } else { 1 << 16 };
    let rows = measured_rows();
    for (text, want) in [
        (chain("id==1", "||", max), vec![1]),
        (chain("id<3", "&&", max), vec![0, 1, 2]),
        (chain("not(id<3)", "&&", max), (3..10).collect()),
        (chain("s!='q'", " and ", max), (0..10).collect()),
        (chain("dyn==4", " or ", max), vec![2]),
        (chain("id<3 and f<1", " or ", max), vec![0, 1]),
        (format!("{}==id", chain("1", "-", max - 8)), vec![]),
        (format!("{}>0", chain("id", "+", max - 8)), (1..10).collect()),
    ] {
        let plan = quick(text).expect("within the limits");
        assert_eq!(matches(&plan, 10, &rows), want);
    }
    let different = chain("id > 1 or i8 < 2", " or ", 200_001 * 20);
    assert!(refusal(different).contains("400000 predicates and operators"));
    let sums = format!("{}>0", chain("id", "+", 400_002 * 3));
    assert!(refusal(sums).contains("400000 predicates and operators"));
    let blank = " ".repeat(limits::LOGIC_BYTES_MAX) + "id";
    assert!(refusal(blank).contains("outside of lists"));
    assert!(refusal(format!("id == {}", "1".repeat(1 << 19))).contains("out of range"));
}

#[test]
fn equalities_by_the_hundred_thousand_become_one_list() {
    let count = if OPTIMIZED { 700_000 } else { 100_000 };
    let ors: Vec<_> = (0..count).map(|i| format!("id == {i}")).collect();
    let plan = quick(ors.join(" or ")).expect("within the limits");
    assert!(plan.encode().len() < 4 << 20, "one list, not {} bytes", plan.encode().len());
    assert_eq!(matches(&plan, 10, &measured_rows()).len(), 10);
    if !OPTIMIZED {
        return;
    }
    let list = "1,".repeat(limits::LIST_ITEMS_MAX - 1);
    assert!(quick(format!("id in [{list}] or id == 2")).is_ok());
    assert!(refusal(format!("id in [{list}] or id == 2 or id == 3")).contains("1000000 list"));
}

#[test]
fn different_comparisons_by_the_thousand_are_evaluated() {
    let ors: Vec<_> = (0..20_000).map(|i| format!("i2 < {} and id > {i}", i - 100)).collect();
    let plan = quick(ors.join(" or ")).expect("within the limits");
    assert_eq!(matches(&plan, 10, &measured_rows()), Vec::<usize>::new());
}

#[test]
fn a_delete_lists_as_many_keys_as_a_message_holds() {
    let list = |count: usize| {
        let keys: Vec<_> = (0..count as u64).map(|i| (470_000_000_000 + i).to_string()).collect();
        format!("id in [{}]", keys.join(","))
    };
    let most = limits::LIST_ITEMS_MAX / if OPTIMIZED { 1 } else { 10 };
    let plan = quick(list(most)).expect("within the limits");
    let Some(PkList::Int(keys)) = plan.pk_list() else { panic!("a list of keys") };
    assert_eq!(keys.len(), most);
    if OPTIMIZED {
        assert!(refusal(list(limits::LIST_ITEMS_MAX + 1)).contains("1000000 list items"));
    }
    let many = format!("id in [{}]", "1,".repeat(limits::TEXT_BYTES_MAX / 2));
    assert!(refusal(many).contains("exceeds 67108864 bytes"));
}

#[test]
fn patterns_do_not_backtrack() {
    let schema = measured_schema();
    let text = "a".repeat(60_000);
    let mut rows = measured_rows();
    rows.0.insert(105, support::text(&vec![text; 10]));
    for pattern in ["%a".repeat(5_000) + "b", "%a_".repeat(5_000) + "%b", "%".repeat(60_000) + "b"]
    {
        let plan = parse(&format!("s like '{pattern}'"), &schema).expect("a pattern");
        let start = Instant::now();
        assert_eq!(matches(&plan, 10, &rows), Vec::<usize>::new());
        assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    }
}

#[test]
fn a_piece_of_wildcards_is_found_in_linear_time() {
    let mut rows = measured_rows();
    let length = if OPTIMIZED { 60_000 } else { 6_000 };
    rows.0.insert(105, support::text(&vec!["ä".to_owned() + &"a".repeat(length) + "c"; 10]));
    let max = limits::LIKE_WILD_CHARS_MAX;
    let got = |piece: String| {
        let plan = parse(&format!("s like '%{piece}%'"), &measured_schema()).expect("a pattern");
        let start = Instant::now();
        let count = matches(&plan, 10, &rows).len();
        let bound = if cfg!(debug_assertions) { 20 } else { 1 };
        assert!(start.elapsed() < Duration::from_secs(bound), "took {:?}", start.elapsed());
        count
    };
    for wild in [1, 61, 62, 63, 64, 65, max - 2] {
        assert_eq!(got(format!("a{}b", "_".repeat(wild))), 0);
        assert_eq!(got(format!("a{}c", "_".repeat(wild))), 10);
        assert_eq!(got(format!("ä{}a", "_".repeat(wild))), 10);
        assert_eq!(got(format!("ä{}c", "_".repeat(wild))), 0);
    }
    let long = format!("s like '%{}%'", "_".repeat(max + 1));
    assert!(refusal(long).contains("more than 1024 characters"));
    assert!(quick(format!("s like '{}%'", "_".repeat(max + 1))).is_ok());
}

#[test]
fn deep_json_does_not_recurse() {
    let mut rows = measured_rows();
    let too_deep = nested("[", "1", "]", 30_000);
    assert!(millstream_expr::json_cell(too_deep.as_bytes(), &mut Vec::new()).is_err());
    let deep = format!(r#"{{"l":{},"a":1}}"#, nested("[", "1", "]", 120));
    rows.0.insert(106, support::json(&vec![deep; 10]));
    let schema = measured_schema();
    for (text, count) in [
        (r#"j["a"] == 1"#, 10),
        (r#"json_contains(j["l"], 1)"#, 0),
        (r#"json_contains(j["l"], [1])"#, 0),
        (r#"j["l"] == [1]"#, 0),
        (r#"j["l"][0][0][0] == 1"#, 0),
    ] {
        let plan = parse(text, &schema).expect(text);
        assert_eq!(matches(&plan, 10, &rows).len(), count, "{text}");
    }
}

#[test]
fn a_plan_of_shared_or_deep_nodes_is_refused() {
    // Version, no fields, two nodes: the second is an `All` of the first, twice.
    let shared = [2, 0, 2, 0, 1, 2, 0, 0, 0, 0];
    assert!(Plan::decode(&shared).is_err_and(|e| e.message.contains("two parents")));
    let count = 2_000u32;
    let mut deep = vec![2, 0];
    deep.extend([0xd0, 0x0f, 0]);
    for child in 0..count - 1 {
        deep.extend([1, 1]);
        match u8::try_from(child) {
            Ok(small @ 0..=127) => deep.push(small),
            _ => deep.extend([(child & 127) as u8 | 128, (child >> 7) as u8]),
        }
    }
    deep.extend([0, 0]);
    assert!(Plan::decode(&deep).is_err_and(|e| e.message.contains("too deep")));
}

#[test]
fn many_lists_of_one_list_are_looked_up_at_once() {
    if !OPTIMIZED {
        return;
    }
    let lists: Vec<String> = (1..200_000).map(|i| format!("[0, {i}]")).collect();
    let plan = quick(format!("j[\"l\"] in [{}]", lists.join(", "))).expect("a filter");
    let begun = Instant::now();
    assert_eq!(matches(&plan, 10, &measured_rows()), [0]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn regular_expressions_of_a_filter_are_counted() {
    let some = |count: usize| vec!["s =~ 'a'"; count].join(" or ");
    assert!(quick(some(limits::REGEXES_MAX)).is_ok());
    let refused = refusal(some(limits::REGEXES_MAX + 1));
    assert!(refused.contains("at most 64 regular expressions"), "{refused}");
}
