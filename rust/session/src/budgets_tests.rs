//! Laws of budgets, against a model that remembers every event.

use std::{collections::HashSet, sync::Arc, thread};

use proptest::prelude::*;

use crate::{Asker, Budget, Budgets, Measure, TaggedValue, Taken, ValueHash};

const PER_S: u64 = 600;
const WINDOW_S: f64 = 600.0;
/// Ten seconds.
const BUCKET_S: f64 = 10.0;

fn budget(measure: Measure, limit: u64) -> Budget {
    let of = |one: Measure| (one == measure).then_some(limit);
    Budget {
        name: "day".to_owned(),
        per_s: PER_S,
        statements: of(Measure::Statements),
        rows: of(Measure::Rows),
        bytes: of(Measure::Bytes),
        values: of(Measure::Values),
        tags: Vec::new(),
        hold: false,
    }
}

fn asker(principal: &str) -> Asker<'_> {
    Asker { principal, statement: [1; 32], waived: &[] }
}

fn value(number: u8) -> TaggedValue {
    TaggedValue { tag: "pii".to_owned(), hash: hash(number) }
}

fn hash(number: u8) -> ValueHash {
    [number; 16]
}

fn begin(budgets: &Budgets, budget: &Budget, values: &[TaggedValue], now_s: f64) -> bool {
    budgets.begin(&asker("p"), std::slice::from_ref(budget), values, now_s, true).is_ok()
}

proptest! {
    #[test]
    fn no_span_of_the_window_holds_more_rows_than_the_budget(
        limit in 1_u64..200,
        events in prop::collection::vec((0_u32..400, 1_u64..120), 1..60),
    ) {
        let (budgets, budget) = (Budgets::new(10), budget(Measure::Rows, limit));
        let mut now_s = 1_000_000.0;
        let mut taken: Vec<(f64, u64)> = Vec::new();
        for (pause, rows) in events {
            now_s += f64::from(pause);
            let got = budgets.deliver(&asker("p"), std::slice::from_ref(&budget), rows, 0, now_s);
            let within = |span: f64| -> u64 {
                taken.iter().filter(|(at, _)| now_s - at < span).map(|(_, rows)| rows).sum()
            };
            if got.is_ok() {
                taken.push((now_s, rows));
                let window_sum: u64 =
                    taken.iter().filter(|(at, _)| now_s - at < WINDOW_S).map(|(_, rows)| rows).sum();
                prop_assert!(window_sum <= limit);
            } else {
                // What is older than a window and a bucket was given back.
                prop_assert!(within(WINDOW_S + BUCKET_S) + rows > limit);
            }
        }
    }

    #[test]
    fn a_refusal_names_the_moment_from_which_it_fits(
        limit in 1_u64..20,
        pauses in prop::collection::vec(0_u32..50, 1..40),
    ) {
        let (budgets, budget) = (Budgets::new(10), budget(Measure::Statements, limit));
        let mut now_s = 1_000_000.0;
        for pause in pauses {
            now_s += f64::from(pause);
            let one = std::slice::from_ref(&budget);
            if let Err(over) = budgets.begin(&asker("p"), one, &[], now_s, true) {
                let frees_at_s = over[0].frees_at_s.unwrap();
                prop_assert!(frees_at_s > now_s);
                prop_assert!(!begin(&budgets, &budget, &[], frees_at_s - 0.01));
                prop_assert!(begin(&budgets, &budget, &[], frees_at_s));
                return Ok(());
            }
        }
    }

    #[test]
    fn distinct_values_are_counted_once_and_forgotten_a_window_after_their_last_use(
        limit in 1_u64..6,
        events in prop::collection::vec((0_u32..200, prop::collection::vec(0_u8..10, 0..4)), 1..50),
    ) {
        let (budgets, budget) = (Budgets::new(10), budget(Measure::Values, limit));
        let mut now_s = 1_000_000.0;
        let mut used: Vec<(f64, u8)> = Vec::new();
        for (pause, numbers) in events {
            now_s += f64::from(pause);
            let values: Vec<TaggedValue> = numbers.iter().copied().map(value).collect();
            let fits = begin(&budgets, &budget, &values, now_s);
            let with = |used: &[(f64, u8)], span: f64| -> HashSet<u8> {
                let recent = used.iter().filter(|(at, _)| now_s - at < span).map(|(_, n)| *n);
                recent.chain(numbers.iter().copied()).collect()
            };
            if fits {
                used.extend(numbers.iter().map(|number| (now_s, *number)));
                prop_assert!(numbers.is_empty() || with(&used, WINDOW_S).len() as u64 <= limit);
            } else {
                prop_assert!(with(&used, WINDOW_S + BUCKET_S).len() as u64 > limit);
            }
        }
    }

    #[test]
    fn what_was_taken_before_a_restart_counts_as_if_there_had_been_none(
        before in prop::collection::vec((0_u32..300, 0_u64..50, 0_u8..9), 1..30),
        rows in 1_u64..100,
        number in 0_u8..9,
    ) {
        let budgets = [Budgets::new(10), Budgets::new(10)];
        let limits = Budget { values: Some(5), ..budget(Measure::Rows, 500) };
        let open = Budget { rows: None, values: None, ..limits.clone() };
        let counting = Budget { values: Some(1000), ..open };
        let mut now_s = 1_000_000.0;
        for (pause, rows, number) in before {
            now_s += f64::from(pause);
            let one = std::slice::from_ref(&counting);
            budgets[0].begin(&asker("p"), one, &[value(number)], now_s, true).unwrap();
            budgets[0].deliver(&asker("p"), one, rows, 0, now_s).unwrap();
            let taken = Taken { statements: 1, rows, ..Taken::default() };
            budgets[1].restore("p", ("day", PER_S), taken, &[hash(number)], now_s);
        }
        let ask = |budgets: &Budgets| {
            let one = std::slice::from_ref(&limits);
            let begun = budgets.begin(&asker("p"), one, &[value(number)], now_s, true);
            (begun, budgets.deliver(&asker("p"), one, rows, 0, now_s))
        };
        prop_assert_eq!(ask(&budgets[0]), ask(&budgets[1]));
    }
}

#[test]
fn fifty_at_once_do_not_overshoot_by_one() {
    let budgets = Arc::new(Budgets::default());
    let taken: usize = (0..50)
        .map(|_| {
            let budgets = Arc::clone(&budgets);
            thread::spawn(move || {
                let budget = budget(Measure::Statements, 100);
                (0..10).filter(|_| begin(&budgets, &budget, &[], 1_000_000.0)).count()
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();

    assert_eq!(taken, 100);
}

#[test]
fn principals_and_budgets_have_accounts_of_their_own() {
    let (budgets, day) = (Budgets::default(), budget(Measure::Statements, 1));
    let hour = Budget { name: "hour".to_owned(), ..day.clone() };
    let ask = |who: &str, one: &Budget| {
        budgets.begin(&asker(who), std::slice::from_ref(one), &[], 10.0, true).is_ok()
    };

    assert!(ask("p", &day));
    assert!(!ask("p", &day));
    assert!(ask("q", &day));
    assert!(ask("p", &hour));
}

#[test]
fn of_several_budgets_all_take_or_none() {
    let budgets = Budgets::default();
    let (wide, full) = (budget(Measure::Statements, 2), budget(Measure::Statements, 1));
    let full = Budget { name: "full".to_owned(), ..full };
    let both = [wide.clone(), full.clone()];
    budgets.begin(&asker("p"), &both, &[], 10.0, true).unwrap();

    let over = budgets.begin(&asker("p"), &both, &[], 10.0, true).unwrap_err();

    assert_eq!(over.len(), 1);
    assert_eq!((over[0].budget.as_str(), over[0].measure), ("full", Measure::Statements));
    assert!(begin(&budgets, &wide, &[], 10.0), "the refused one took nothing of it");
}

#[test]
fn a_clock_that_is_put_back_gives_nothing_back() {
    let (budgets, one) = (Budgets::default(), budget(Measure::Statements, 1));
    assert!(begin(&budgets, &one, &[], 1_000_000.0));
    assert!(!begin(&budgets, &one, &[], 0.0));
    assert!(!begin(&budgets, &one, &[], 1_000_001.0));
}

#[test]
fn a_full_table_is_over_budget_for_strangers_and_nobody_can_approve_that() {
    let budgets = Budgets::new(1);
    let one = Budget { hold: true, ..budget(Measure::Statements, 5) };
    assert!(begin(&budgets, &one, &[], 10.0));

    let other = std::slice::from_ref(&one);
    let over = budgets.begin(&asker("q"), other, &[], 10.0, true).unwrap_err();

    assert_eq!((over[0].measure, over[0].hold), (Measure::Room, false));
    assert!(begin(&budgets, &one, &[], 10.0), "who has an account goes on");
    assert!(budgets.begin(&asker("q"), other, &[], 10_000.0, true).is_ok(), "until it is empty");
}

#[test]
fn no_account_of_before_a_restart_is_lost_to_a_full_table() {
    let budgets = Budgets::new(1);
    let one = budget(Measure::Statements, 1);
    let taken = Taken { statements: 1, ..Taken::default() };
    for principal in ["p", "q"] {
        budgets.restore(principal, ("day", PER_S), taken, &[], 1_000_000.0);
    }

    for principal in ["p", "q"] {
        let one = std::slice::from_ref(&one);
        assert!(budgets.begin(&asker(principal), one, &[], 1_000_001.0, true).is_err());
    }
}

#[test]
fn a_budget_whose_rows_are_used_up_lets_no_statement_begin() {
    let (budgets, rows) = (Budgets::default(), budget(Measure::Rows, 10));
    let one = std::slice::from_ref(&rows);
    assert!(budgets.deliver(&asker("p"), one, 10, 0, 10.0).is_ok());
    assert!(!begin(&budgets, &rows, &[], 11.0));
}

#[test]
fn a_result_that_does_not_fit_takes_nothing_and_its_statement_is_over_when_it_comes_again() {
    let budgets = Budgets::default();
    let rows = Budget { hold: true, ..budget(Measure::Rows, 10) };
    let one = std::slice::from_ref(&rows);
    assert!(begin(&budgets, &rows, &[], 10.0));
    assert!(budgets.deliver(&asker("p"), one, 11, 0, 10.0).is_err());

    assert!(!begin(&budgets, &rows, &[], 11.0), "the same statement");
    let other = Asker { statement: [2; 32], ..asker("p") };
    assert!(budgets.begin(&other, one, &[], 11.0, true).is_ok(), "another statement");
    assert!(budgets.deliver(&other, one, 10, 0, 11.0).is_ok());
}

#[test]
fn people_let_a_statement_over_a_budget_that_asks_them_and_over_no_other() {
    let budgets = Budgets::default();
    let hold = Budget { hold: true, ..budget(Measure::Statements, 1) };
    let deny = Budget { name: "deny".to_owned(), ..budget(Measure::Statements, 1) };
    let waived = ["day".to_owned(), "deny".to_owned()];
    let asker = Asker { waived: &waived, ..asker("p") };
    for _ in 0..3 {
        assert!(budgets.begin(&asker, std::slice::from_ref(&hold), &[], 10.0, true).is_ok());
    }
    assert!(budgets.begin(&asker, std::slice::from_ref(&deny), &[], 10.0, true).is_ok());
    assert!(budgets.begin(&asker, &[hold, deny], &[], 10.0, true).is_err());
}

#[test]
fn only_values_of_the_named_tags_count() {
    let budgets = Budgets::default();
    let phi = Budget { tags: vec!["phi".to_owned()], ..budget(Measure::Values, 1) };
    assert!(begin(&budgets, &phi, &[value(1), value(2)], 10.0));
    let both = [1, 2].map(|number| TaggedValue { tag: "phi".to_owned(), hash: hash(number) });
    assert!(!begin(&budgets, &phi, &both, 10.0));
    assert!(begin(&budgets, &phi, &both[..1], 10.0));
}

#[test]
fn another_window_keeps_what_was_taken() {
    let budgets = Budgets::default();
    let long = budget(Measure::Statements, 1);
    let short = Budget { per_s: 60, ..long.clone() };
    assert!(begin(&budgets, &long, &[], 1_000_000.0));
    assert!(!begin(&budgets, &short, &[], 1_000_030.0));
    assert!(begin(&budgets, &short, &[], 1_000_080.0));
}

#[test]
fn empty_accounts_are_swept() {
    let (budgets, one) = (Budgets::default(), budget(Measure::Statements, 1));
    assert!(begin(&budgets, &one, &[], 1_000_000.0));
    budgets.sweep(1_000_001.0);
    assert_eq!(budgets.len(), 1);
    budgets.sweep(1_001_000.0);
    assert!(budgets.is_empty());
}
