//! What becomes of spans when the collector does not do well.

use super::*;

#[test]
fn what_may_pass_is_tried_again_and_arrives_once() {
    let answers = [
        Answer::Status(503, None),
        Answer::Status(429, Some("1")),
        Answer::Status(502, None),
        Answer::Status(504, None),
    ];
    let receiver = Receiver::start(ANYWHERE.into(), &answers);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..10).for_each(|number| export(&mut exporter, numbered(number)));
    let taken = receiver.wait(|taken| !taken.traces.is_empty());
    let second = taken.attempts[2].duration_since(taken.attempts[1]);
    assert!(second >= Duration::from_secs(1), "as the collector had asked: {second:?}");
    assert_eq!((ids(&taken).len(), taken.attempts.len()), (10, 5));
    exporter.finish();
    assert!(exporter.counts.is_up());
    assert_eq!(exporter.counts.lost(), 0);
}

#[test]
fn what_is_refused_or_turned_down_is_counted() {
    let answers = [Answer::Status(400, None), Answer::Partly(3)];
    let receiver = Receiver::start(ANYWHERE.into(), &answers);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..20).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    let mut health = Health::default();
    exporter.account(&mut health);
    let counted: BTreeMap<_, _> =
        health.sheds().map(|(stage, cause, count)| ((stage.name(), cause), count)).collect();
    let expected = [(("export", "otlp_traces_refused"), 20), (("export", "otlp_traces_rejected"), 3)];
    assert_eq!(counted, expected.into());
    assert_eq!(receiver.wait(|_| true).attempts.len(), 2, "neither is sent again");
}

#[test]
fn grpc_is_tried_again_for_what_may_pass_only() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Code(14), Answer::Code(3)]);
    let variables = [&ONLY_TRACES[..], &[GRPC, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..20).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    let taken = receiver.wait(|_| true);
    assert_eq!((taken.attempts.len(), ids(&taken).len()), (3, 10));
    assert_eq!(exporter.counts.lost(), 20, "two spans of each call in the first portion");
}

#[test]
fn a_collector_that_comes_back_gets_what_the_queue_holds() {
    for protocol in [&[][..], &[GRPC]] {
        let first = Receiver::start(ANYWHERE.into(), &[]);
        let address = first.address;
        let variables = [
            &ONLY_TRACES[..],
            protocol,
            &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"), ("OTEL_BSP_MAX_QUEUE_SIZE", "50")],
        ];
        let mut exporter = exporter(&first, &variables.concat(), Choice::default());
        (0..10).for_each(|number| export(&mut exporter, numbered(number)));
        let before = first.wait(|taken| !taken.traces.is_empty());
        drop(first);
        (10..200).for_each(|number| export(&mut exporter, numbered(number)));
        let until = Instant::now() + Duration::from_secs(20);
        while exporter.counts.is_up() {
            assert!(Instant::now() < until, "nobody noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        let second = Receiver::start(address, &[]);
        let kept = 190 - exporter.counts.lost() as usize / 2;
        assert!((50..=60).contains(&kept), "the queue and a portion: {kept}");
        let after = second.wait(|taken| ids(taken).len() == kept);
        assert!(ids(&before).is_disjoint(&ids(&after)));
        exporter.finish();
        assert_eq!(ids(&second.wait(|_| true)).len(), kept);
    }
}

#[test]
fn a_slow_collector_slows_nobody() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Late(Duration::from_secs(60))]);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    let began = Instant::now();
    (0..5000).for_each(|number| export(&mut exporter, numbered(number)));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let kept = 2048 + 10;
    assert!(exporter.counts.lost() >= 2 * (5000 - kept));
    exporter.finish();
    assert!(began.elapsed() < Duration::from_secs(30), "the end is bounded");
    assert_eq!(exporter.counts.lost(), 10_000, "whatever did not arrive is counted");
}

#[test]
fn large_payloads_go_in_portions_that_collectors_take() {
    let large = || Some(Private::new(vec![b'x'; 64 << 10].into_boxed_slice()));
    let call = |number| Call { arguments: large(), result: large(), ..numbered(number) };
    let choice = Choice { payloads: true, waits: true, ..Choice::default() };
    let taken = taken((0..100).map(call).collect(), &ONLY_TRACES, choice);
    assert_eq!(ids(&taken).len(), 100);
    let largest = taken.traces.iter().map(prost::Message::encoded_len).max().unwrap();
    assert!(largest < 4 << 20, "{largest}");
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Late(Duration::from_secs(60))]);
    let choice = Choice { payloads: true, ..Choice::default() };
    let mut exporter = exporter(&receiver, &ONLY_TRACES, choice);
    let payload = Private::new(vec![b'x'; 64 << 10].into_boxed_slice());
    (0..1000).for_each(|number| {
        export(&mut exporter, Call { arguments: Some(payload.clone()), ..numbered(number) })
    });
    let mut health = Health::default();
    exporter.account(&mut health);
    let lost = health.sheds().find(|(_, cause, _)| *cause == "otlp_traces_queue_bytes").unwrap().2;
    assert!(lost > 2 * 700, "{lost}");
    exporter.finish();
}
