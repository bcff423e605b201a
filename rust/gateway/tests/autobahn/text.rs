//! Section 6: texts are UTF-8, and what cannot become that is refused at its first wrong byte.
//!
//! The sequences are those of a well-known stress test for decoders: first and last of each length,
//! surrogates, overlong forms, what stands alone or ends too early.

use super::{Case, Chops, NORMAL, NOT_TEXT, TEXT, fragments, text};
use crate::websocket::frame;

/// "Cosmos" in Greek, with an accented letter of three bytes.
const COSMOS: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// Beyond the last character: its first byte may come, its second may not.
const BEYOND: &[u8] = b"\xf4\x90\x80\x80";

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    fragmented(&mut cases);
    fail_fast(&mut cases);
    for (section, sequences) in sections() {
        for (place, bytes) in sequences.iter().enumerate() {
            let number = format!("6.{section}.{}", place + 1);
            let sent = vec![frame(TEXT, bytes)];
            cases.push(match str::from_utf8(bytes) {
                Ok(valid) => Case::new(number, sent, vec![text(valid)], NORMAL),
                Err(_) => Case::new(number, sent, vec![], NOT_TEXT),
            });
        }
    }
    cases
}

/// 6.1 to 6.3: empty fragments, characters within fragments and across them.
fn fragmented(cases: &mut Vec<Case>) {
    let all = "Hello-µ@ßöäüàá-UTF-8!!";
    let cosmos = str::from_utf8(COSMOS).unwrap();
    let octets = |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.iter().map(|byte| vec![*byte]).collect() };
    cases.push(Case::new("6.1.1", vec![frame(TEXT, b"")], vec![text("")], NORMAL));
    cases.push(Case::new("6.1.2", fragments(TEXT, &["", "", ""]), vec![text("")], NORMAL));
    let middle = fragments(TEXT, &["", "middle frame payload", ""]);
    cases.push(Case::new("6.1.3", middle, vec![text("middle frame payload")], NORMAL));
    cases.push(Case::new("6.2.1", vec![frame(TEXT, all.as_bytes())], vec![text(all)], NORMAL));
    let (first, second) = all.split_at(all.find('ß').unwrap());
    cases.push(Case::new("6.2.2", fragments(TEXT, &[first, second]), vec![text(all)], NORMAL));
    let frames = fragments(TEXT, &octets(all.as_bytes()));
    cases.push(Case::new("6.2.3", frames, vec![text(all)], NORMAL));
    let frames = fragments(TEXT, &octets(COSMOS));
    cases.push(Case::new("6.2.4", frames, vec![text(cosmos)], NORMAL));
    let wrong = [COSMOS, b"\xed\xa0\x80edited"].concat();
    cases.push(Case::new("6.3.1", vec![frame(TEXT, &wrong)], vec![], NOT_TEXT));
    cases.push(Case::new("6.3.2", fragments(TEXT, &octets(&wrong)), vec![], NOT_TEXT));
}

/// 6.4: the server closes when the wrong byte comes, not when its fragment, frame or message ends: nothing is
/// sent behind it.
fn fail_fast(cases: &mut Vec<Case>) {
    let (start, wrong) = BEYOND.split_at(1);
    let open = |first: u8, payload: &[u8]| frame(first & 0x0f, payload);
    // Fragments: all of the sequence, then no more than its first wrong byte.
    let frames = vec![open(TEXT, COSMOS), open(0, BEYOND)];
    cases.push(Case::new("6.4.1", frames, vec![], NOT_TEXT).chopped(Chops::Frames).fast());
    let frames = vec![open(TEXT, &[COSMOS, start].concat()), open(0, &wrong[..1])];
    cases.push(Case::new("6.4.2", frames, vec![], NOT_TEXT).chopped(Chops::Frames).fast());
    // One frame, whose end never comes.
    let whole = frame(TEXT, &[COSMOS, BEYOND, b"edited"].concat());
    for (number, rest) in [("6.4.3", b"edited".len()), ("6.4.4", b"edited".len() + 2)] {
        let cut = vec![whole[..whole.len() - rest].to_vec()];
        for chops in [Chops::One, Chops::Of(1), Chops::Of(5)] {
            cases.push(Case::new(number, cut.clone(), vec![], NOT_TEXT).chopped(chops).fast());
        }
    }
}

/// 6.5 to 6.23 by their numbers.
fn sections() -> Vec<(usize, Vec<Vec<u8>>)> {
    let list = |sequences: &[&[u8]]| -> Vec<Vec<u8>> {
        sequences.iter().map(|bytes| bytes.to_vec()).collect()
    };
    // Each followed by a blank.
    let lonely =
        |bytes: std::ops::RangeInclusive<u8>| bytes.flat_map(|byte| [byte, b' ']).collect();
    let incomplete: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    let surrogates: [&[u8]; 7] = [
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
    ];
    let pairs = surrogates[..4]
        .iter()
        .flat_map(|high| [b"\xed\xb0\x80", b"\xed\xbf\xbf"].map(|low| [high, &low[..]].concat()));
    let noncharacters = (0..=16).flat_map(|plane: u32| {
        [0xfffe, 0xffff].map(|low| char::from_u32(plane << 16 | low).unwrap().to_string().into())
    });
    let specials = (0xfff9..=0xffff).map(|code| char::from_u32(code).unwrap().to_string().into());
    vec![
        (
            5,
            list(&[
                b"hello$world",
                "hello¢world".as_bytes(),
                "hello€world".as_bytes(),
                "hello𤭢world".as_bytes(),
                COSMOS,
            ]),
        ),
        (6, (1..=COSMOS.len()).map(|length| COSMOS[..length].to_vec()).collect()),
        (7, list(&[b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"])),
        (8, list(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"])),
        (9, list(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"])),
        (10, list(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"])),
        (
            11,
            list(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", BEYOND]),
        ),
        (
            12,
            list(&[
                b"\x80",
                b"\xbf",
                b"\x80\xbf",
                b"\x80\xbf\x80",
                b"\x80\xbf\x80\xbf",
                b"\x80\xbf\x80\xbf\x80",
                b"\x80\xbf\x80\xbf\x80\xbf",
                &(0x80..=0xbf).collect::<Vec<u8>>(),
            ]),
        ),
        (
            13,
            vec![
                lonely(0xc0..=0xdf),
                lonely(0xe0..=0xef),
                lonely(0xf0..=0xf7),
                lonely(0xf8..=0xfb),
                lonely(0xfc..=0xfd),
            ],
        ),
        (14, list(&incomplete)),
        (15, vec![incomplete.concat()]),
        (16, list(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"])),
        (
            17,
            list(&[
                b"\xc0\xaf",
                b"\xe0\x80\xaf",
                b"\xf0\x80\x80\xaf",
                b"\xf8\x80\x80\x80\xaf",
                b"\xfc\x80\x80\x80\x80\xaf",
            ]),
        ),
        (
            18,
            list(&[
                b"\xc1\xbf",
                b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ]),
        ),
        (
            19,
            list(&[
                b"\xc0\x80",
                b"\xe0\x80\x80",
                b"\xf0\x80\x80\x80",
                b"\xf8\x80\x80\x80\x80",
                b"\xfc\x80\x80\x80\x80\x80",
            ]),
        ),
        (20, list(&surrogates)),
        (21, pairs.collect()),
        (22, noncharacters.collect()),
        (23, specials.collect()),
    ]
}
