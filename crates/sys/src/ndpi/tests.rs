use super::*;

/// A DNS question for `example.com`, IPv4 and UDP; checksums are zero, which nobody looks at.
fn question() -> Vec<u8> {
    let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
    let mut packet = vec![0x45, 0, 0, (28 + dns.len()) as u8, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 53];
    packet.extend([0x9c, 0x40, 0, 53, 0, (8 + dns.len()) as u8, 0, 0]);
    packet.extend(dns);
    packet
}

fn detector() -> Detector {
    Detector::new(&Settings::default()).unwrap()
}

#[test]
fn a_question_is_dns_and_tells_its_host() {
    let mut detector = detector();
    let names = detector.names(Names::Protocols);
    let mut flow = detector.begin().unwrap();
    let mut verdict = Verdict::default();
    assert!(detector.packet(&mut flow, &question(), 1_000, true, &mut verdict));
    let name = |i: u16| names.get(usize::from(i)).map(String::as_str);
    assert_eq!(
        (name(verdict.master), name(verdict.app), verdict.host()),
        (Some("Unknown"), Some("DNS"), &b"example.com"[..])
    );
    detector.end(flow);
}

#[test]
fn a_flow_used_again_knows_nothing() {
    let mut detector = detector();
    let mut flow = detector.begin().unwrap();
    detector.packet(&mut flow, &question(), 1_000, true, &mut Verdict::default());
    detector.end(flow);
    let (mut flow, mut verdict) = (detector.begin().unwrap(), Verdict::default());
    detector.give_up(&mut flow, &mut verdict);
    assert_eq!((verdict.master, verdict.app, verdict.host()), (0, 0, &b""[..]));
}

#[test]
fn kinds_of_numbers_have_names() {
    let detector = detector();
    for (what, some) in [
        (Names::Protocols, "TLS"),
        (Names::Categories, "Web"),
        (Names::Breeds, "Safe"),
        (Names::Confidences, "DPI"),
        (Names::Risks, "Known Protocol on Non Standard Port"),
    ] {
        assert!(detector.names(what).iter().any(|name| name == some), "{what:?} lacks {some}");
    }
}

#[test]
fn every_cut_of_a_packet_is_taken() {
    let mut detector = detector();
    let packet = question();
    for len in 0..packet.len() {
        let mut flow = detector.begin().unwrap();
        let cut = packet.get(..len).unwrap().to_vec();
        detector.packet(&mut flow, &cut, 1_000, true, &mut Verdict::default());
        detector.end(flow);
    }
}

/// libndpi keeps TCP's and UDP's state in one union.
#[test]
fn a_packet_of_another_protocol_is_not_shown() {
    let mut detector = detector();
    let (mut flow, mut verdict) = (detector.begin().unwrap(), Verdict::default());
    let mut tcp = question();
    if let Some(protocol) = tcp.get_mut(9) {
        *protocol = 6;
    }
    assert!(!detector.packet(&mut flow, &tcp, 1_000, false, &mut verdict));
    assert!(!detector.packet(&mut flow, &question(), 1_001, false, &mut verdict), "DNS was seen in a TCP flow");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let path = Path::new("/nowhere/protos.txt");
    let error = Detector::new(&Settings { protocols: Some(path), ..Settings::default() }).unwrap_err();
    assert!(matches!(error, Error::File(Form::Protocols, Fault::Unreadable(_))), "{error}");
}

/// 8.8.8.8 is Google's, 192.0.2.1 nobody's (RFC 5737).
#[test]
fn networks_of_services_are_known() {
    let mut detector = detector();
    let names = detector.names(Names::Protocols);
    let told = [[8, 8, 8, 8], [192, 0, 2, 1]].map(|address| names[usize::from(detector.address(address))].clone());
    assert_eq!(told, ["Google", "Unknown"]);
}
