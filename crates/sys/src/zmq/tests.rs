use super::*;
use core::time::Duration;

const SOON: Set<'_> = Set::ReceiveTimeout(Some(Duration::from_secs(10)));

/// A publisher and a subscriber to everything, who know each other.
fn pair() -> (Context, Socket, Socket) {
    let context = Context::new().unwrap();
    let (publisher, subscriber) = (context.socket(Kind::XPub).unwrap(), context.socket(Kind::Sub).unwrap());
    publisher.set(Set::NoDrop(true)).unwrap();
    publisher.set(Set::SendHighWater(10)).unwrap();
    publisher.set(Set::Linger(Some(Duration::ZERO))).unwrap();
    publisher.set(SOON).unwrap();
    publisher.bind("tcp://127.0.0.1:*").unwrap();
    subscriber.set(Set::Subscribe(b"")).unwrap();
    subscriber.set(SOON).unwrap();
    subscriber.connect(&publisher.endpoint().unwrap()).unwrap();
    let mut subscription = Vec::new();
    publisher.receive(&mut subscription).unwrap();
    assert_eq!(subscription, [1]);
    (context, publisher, subscriber)
}

#[test]
fn curve_is_built_in() {
    assert!(has(c"curve") && !has(c"tea"));
}

#[test]
fn keys_as_text() {
    // The test vector of RFC 32 is eight bytes; the keys are those of RFC 26's reference implementation.
    let text = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    let key = PublicKey::from_z85(text).unwrap();
    assert_eq!(key.bytes()[..4], [0xbb, 0x88, 0x47, 0x1d]);
    assert_eq!((key.to_z85(), format!("{key:?}")), (text.to_owned(), text.to_owned()));
    let secret = SecretKey::from_z85("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs").unwrap();
    assert!(secret.public().unwrap() == key);
    assert_eq!(format!("{secret:?}"), "(a secret)");
    for wrong in ["", &text[1..], &text.replace('e', "\""), &"#".repeat(40), &text.replace('e', "\0"), &"ä".repeat(20)]
    {
        assert!(PublicKey::from_z85(wrong).is_none(), "{wrong}");
    }
    let (public, secret) = keypair().unwrap();
    assert!(secret.public().unwrap() == public);
}

#[test]
fn parts_arrive_and_buffers_return() {
    let (_context, publisher, subscriber) = pair();
    let pool = Pool::default();
    for length in [0, 1, 33, 8192, 200_000, 1 << 20] {
        let mut buffer = pool.take();
        buffer.bytes.resize(length, 7);
        buffer.weight = 5;
        publisher.send(b"head", true).unwrap();
        assert!(publisher.lend(buffer).unwrap());
        let mut bytes = Vec::new();
        assert!(subscriber.receive(&mut bytes).unwrap());
        assert_eq!(bytes, b"head");
        assert!(!subscriber.receive(&mut bytes).unwrap());
        assert_eq!(bytes, vec![7; length]);
    }
    drop(publisher);
    for _ in 0..10_000 {
        if pool.returned() == (Returned { buffers: 6, weight: 30 }) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{:?}", pool.returned());
}

#[test]
fn full_queue_gives_the_buffer_back() {
    let (_context, publisher, _subscriber) = pair();
    let pool = Pool::default();
    let mut sent = 0;
    let back = loop {
        let mut buffer = pool.take();
        buffer.bytes.resize(1 << 20, 7);
        buffer.weight = 5;
        match publisher.lend(buffer) {
            Ok(taken) => assert!(taken),
            Err((error, buffer)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                break buffer;
            }
        }
        sent += 1;
        assert!(sent < 10_000, "never full");
    };
    assert!(back.bytes.len() == 1 << 20 && back.weight == 5);
    assert!(pool.returned().buffers <= sent);
}

#[test]
fn nobody_there_returns_the_buffer_at_once() {
    let context = Context::new().unwrap();
    let publisher = context.socket(Kind::XPub).unwrap();
    publisher.bind("tcp://127.0.0.1:*").unwrap();
    let pool = Pool::default();
    assert!(!publisher.lend(pool.take()).unwrap());
    assert_eq!(pool.returned().buffers, 1);
}

#[test]
fn monitor_tells_of_connections() {
    let context = Context::new().unwrap();
    let publisher = context.socket(Kind::Pub).unwrap();
    let mut monitor = publisher.monitor().unwrap();
    publisher.bind("tcp://127.0.0.1:*").unwrap();
    let subscriber = context.socket(Kind::Sub).unwrap();
    subscriber.connect(&publisher.endpoint().unwrap()).unwrap();
    let mut subscriber = Some(subscriber);
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        seen.extend(monitor.by_ref());
        if seen.contains(&Event::HandshakeSucceeded) {
            subscriber = None;
        }
        if seen.contains(&Event::Disconnected) {
            assert!(seen.contains(&Event::Accepted), "{seen:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(subscriber);
    panic!("{seen:?}");
}

#[test]
fn port_taken_is_an_error() {
    let context = Context::new().unwrap();
    let (one, two) = (context.socket(Kind::Pub).unwrap(), context.socket(Kind::Pub).unwrap());
    one.bind("tcp://127.0.0.1:*").unwrap();
    let error = two.bind(&one.endpoint().unwrap()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(two.bind("tcp://\0").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
