//! Whatever the collector and the connection to it do, each span arrives or is counted, and the counts say so.

use super::*;
use crate::export::prometheus::series::Sample;

/// Portions of eight calls, of which the queue holds two, as they come.
const SMALL: [(&str, &str); 2] = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"), ("OTEL_BSP_MAX_QUEUE_SIZE", "16")];

/// The same numbers for each seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % limit
    }
}

/// Ids of all spans that came, and how many came more than once.
fn span_ids(taken: &[Taken]) -> (HashSet<Vec<u8>>, usize) {
    let all: Vec<_> = taken.iter().flat_map(spans).map(|(_, span)| span.span_id).collect();
    let unique: HashSet<_> = all.iter().cloned().collect();
    let again = all.len() - unique.len();
    (unique, again)
}

/// The sum of a counter over the series with these label values first.
pub fn counted(registry: &Registry, name: &str, values: &[&str]) -> u64 {
    let family = registry.gather().into_iter().find(|family| family.metric.name == name);
    let series = family.into_iter().flat_map(|family| family.series);
    let ours = series.filter(|series| series.values.iter().zip(values).all(|(one, other)| one == *other));
    let numbers = ours.map(|series| match series.sample {
        Sample::Number(number, _) => number as u64,
        Sample::Buckets(_) => 0,
    });
    numbers.sum()
}

/// One exporter and the collectors that it meets, one after the other.
#[derive(Debug)]
struct Outcome {
    /// Spans that were made.
    made: u64,
    /// Spans that came, each once.
    came: u64,
    /// Spans that came again.
    again: u64,
    /// Spans that a collector said to have taken, by the exporter's count.
    exported: u64,
    /// Spans that are counted as lost.
    lost: u64,
    /// Requests that failed, by the exporter's count.
    failed: u64,
}

/// Two collectors answer as they like, the second after a pause without any.
fn ordeal(seed: u64, protocol: &[(&str, &str)], answers: &[Answer]) -> Outcome {
    let mut chance = Chance(seed);
    let mut some = |count| -> Vec<Answer> {
        (0..count).map(|_| answers[chance.below(answers.len() as u64) as usize].clone()).collect()
    };
    let first = Receiver::start(ANYWHERE.into(), &some(3));
    let answers_of_the_second = some(2);
    let address = first.address;
    let mut exporter = exporter(&first, &[&ONLY_TRACES[..], &SMALL, protocol].concat(), Choice::default());
    let mut made = 0;
    let mut export_some = |exporter: &mut Otlp, count: u64| {
        for _ in 0..count {
            export(exporter, numbered(made));
            made += 1;
        }
    };
    for _ in 0..4 {
        export_some(&mut exporter, 8 + chance.below(12));
        std::thread::sleep(Duration::from_millis(chance.below(150)));
    }
    let before = first.end();
    export_some(&mut exporter, chance.below(40));
    std::thread::sleep(Duration::from_millis(chance.below(150)));
    let second = Receiver::start(address, &answers_of_the_second);
    export_some(&mut exporter, chance.below(40));
    let ended = Instant::now();
    exporter.finish();
    assert!(ended.elapsed() < Duration::from_secs(20), "the end is bounded: {:?}", ended.elapsed());
    let mut health = Health::default();
    exporter.account(&mut health);
    let lost = exporter.counts.lost();
    assert_eq!(health.sheds().map(|(_, _, count)| count).sum::<u64>(), lost);
    let (came, again) = span_ids(&[before, second.end()]);
    Outcome {
        made: 2 * made as u64,
        came: came.len() as u64,
        again: again as u64,
        exported: counted(&exporter.registry, "mcp_observer_exported_total", &["traces"]),
        lost,
        failed: counted(&exporter.registry, "mcp_observer_export_requests_total", &["traces", "failed"]),
    }
}

/// Many ordeals at once; they mostly wait.
fn ordeals(protocol: &'static [(&str, &str)], answers: &'static [Answer]) -> Vec<Outcome> {
    let running: Vec<_> =
        (0..12).map(|seed| std::thread::spawn(move || ordeal(seed, protocol, answers))).collect();
    let outcomes: Vec<_> = running.into_iter().map(|one| one.join().unwrap()).collect();
    for outcome in &outcomes {
        assert_eq!(outcome.exported + outcome.lost, outcome.made, "{outcome:?}");
    }
    assert!(outcomes.iter().any(|it| it.failed > 0), "nothing was tried again: {outcomes:?}");
    assert!(outcomes.iter().any(|it| it.exported > 0 && it.lost > 0), "too easy: {outcomes:?}");
    outcomes
}

/// What leaves no doubt whether a request was taken.
const OVER_HTTP: &[Answer] = &[
    Answer::Late(Duration::from_millis(50)),
    Answer::Status(503, None),
    Answer::Status(429, Some("0")),
    Answer::Status(400, None),
    Answer::Break,
];
const OVER_GRPC: &[Answer] = &[
    Answer::Late(Duration::from_millis(50)),
    Answer::Code(14),
    Answer::Code(4),
    Answer::Code(3),
    Answer::Break,
];
/// What leaves doubt: it was taken, but the exporter cannot know.
const IN_DOUBT: &[Answer] = &[Answer::TakeAndBreak, Answer::Cut, Answer::Break];

#[test]
fn each_span_arrives_once_or_is_counted() {
    for (protocol, answers) in [(&[][..], OVER_HTTP), (&[GRPC], OVER_GRPC)] {
        for outcome in ordeals(protocol, answers) {
            // A collector that ends may have taken a request whose answer did not come back.
            assert!(outcome.came >= outcome.exported, "{outcome:?}");
            assert!(outcome.came + outcome.lost >= outcome.made, "{outcome:?}");
            assert!(outcome.came + outcome.lost <= outcome.made + 16, "{outcome:?}");
            assert!(outcome.again <= 16, "one portion was under way at the end: {outcome:?}");
        }
    }
}

#[test]
fn a_broken_answer_loses_nothing() {
    for protocol in [&[][..], &[GRPC]] {
        let outcomes = ordeals(protocol, IN_DOUBT);
        for outcome in &outcomes {
            assert!(outcome.came >= outcome.exported, "{outcome:?}");
            assert!(outcome.came + outcome.lost >= outcome.made, "{outcome:?}");
        }
        assert!(outcomes.iter().any(|it| it.again > 0), "what is in doubt is sent again: {outcomes:?}");
    }
}

#[test]
fn what_is_left_at_the_end_goes_out_behind_a_portion_that_had_to_wait() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Status(429, Some("30"))]);
    let mut exporter = exporter(&receiver, &[&ONLY_TRACES[..], &SMALL].concat(), Choice::default());
    (0..8).for_each(|number| export(&mut exporter, numbered(number)));
    receiver.wait(|taken| taken.attempts.len() == 1);
    (8..11).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    assert_eq!((exporter.counts.lost(), ids(&receiver.wait(|_| true)).len()), (0, 11));
}

#[test]
fn the_fate_of_requests_is_counted() {
    let answers = [Answer::Status(503, None), Answer::Status(400, None), Answer::Partly(3)];
    let receiver = Receiver::start(ANYWHERE.into(), &answers);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..20).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    exporter.account(&mut Health::default());
    let of = |result| counted(&exporter.registry, "mcp_observer_export_requests_total", &["traces", result]);
    assert_eq!([of("failed"), of("refused"), of("taken")], [1, 1, 1]);
    assert_eq!(counted(&exporter.registry, "mcp_observer_exported_total", &["traces"]), 20 - 3);
}

#[test]
fn a_collector_that_turns_down_more_than_it_got_is_not_believed() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Partly(1_000_000)]);
    let mut exporter = exporter(&receiver, &ONLY_TRACES, Choice::default());
    export(&mut exporter, numbered(0));
    exporter.finish();
    exporter.account(&mut Health::default());
    assert_eq!(exporter.counts.lost(), 2);
    assert_eq!(counted(&exporter.registry, "mcp_observer_exported_total", &["traces"]), 0);
}
