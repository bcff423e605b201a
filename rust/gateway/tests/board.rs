//! Market data through the ports, without any other process.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use viabtc_engine::Decimal;
use viabtc_gateway::{Address, BoardBackend, Client, RpcOptions, RpcServer};
use viabtc_market::{Board, Deal, Options, Taker, Zone};

const NOW: i64 = 1_795_426_796;

#[test]
fn methods_of_market_data_are_answered_on_the_ports_thread() {
    let mut board = Board::new(Options::default(), Zone::utc());
    board.list("BTCUSDT");
    let board = Arc::new(RwLock::new(board));
    for is_indented in [false, true] {
        let backend = BoardBackend::new(Arc::clone(&board), || NOW, is_indented);
        let address: Address = "tcp@127.0.0.1:0".parse().unwrap();
        let server =
            RpcServer::start(Arc::new(backend), &[address], &RpcOptions::default()).unwrap();
        let mut client = Client::connect(&server.addresses()[0], Duration::from_secs(5)).unwrap();
        if is_indented {
            let body = client.call(304, br#"["BTCUSDT"]"#).unwrap();
            let laid_out =
                "{\n    \"error\": null,\n    \"result\": \"50000.0\",\n    \"id\": 1\n}";
            assert_eq!(String::from_utf8(body).unwrap(), laid_out);
            continue;
        }
        let body = client.call(304, br#"["BTCUSDT"]"#).unwrap();
        assert_eq!(body, br#"{"error": null, "result": "0", "id": 1}"#);
        let deal = Deal {
            id: 1,
            time: NOW * 1_000_000,
            price: Decimal::parse("50000.0").unwrap(),
            amount: Decimal::parse("0.5").unwrap(),
            taker: Taker::Buys,
        };
        assert!(board.write().unwrap().apply(0, &deal));
        let calls: [(u32, &[u8]); 3] = [
            (302, br#"["BTCUSDT", 1795426796, 1795426796, 1]"#),
            (302, br#"["NOPE", 1795426796, 1795426796, 1]"#),
            (303, br#"["BTCUSDT", 10, 0]"#),
        ];
        let bodies = client.call_many(&calls).unwrap();
        let bodies: Vec<&str> = bodies.iter().map(|b| std::str::from_utf8(b).unwrap()).collect();
        assert_eq!(
            bodies,
            [
                r#"{"error": null, "result": [[1795426796, "50000", "50000", "50000", "50000", "0.5", "25000", "BTCUSDT"]], "id": 1}"#,
                r#"{"error": {"code": 1, "message": "invalid argument"}, "result": null, "id": 2}"#,
                r#"{"error": null, "result": [{"id": 1, "time": 1795426796.0, "price": "50000", "amount": "0.5", "type": "buy"}], "id": 3}"#,
            ]
        );
        let body = client.call(205, br#"["BTCUSDT"]"#).unwrap();
        assert!(String::from_utf8(body).unwrap().contains("\"code\": 4"), "methods of others");
    }
}
