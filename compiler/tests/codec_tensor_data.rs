//! Every element type, from every field that may hold it, as canonical bytes.

use bytes::Bytes;
use compiler::onnx::schema::{DataLocation, DataType, TensorProto};
use compiler::onnx::{
    TensorProblem, bit_width, byte_len, check_size, element_count, little_endian, strings,
};

fn tensor(data_type: DataType, dims: &[i64]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(data_type as i32),
        name: Some("w".into()),
        ..TensorProto::default()
    }
}

fn all_types() -> impl Iterator<Item = DataType> {
    (1..=28).map(|code| DataType::try_from(code).expect("IR 14 defines 1 to 28"))
}

#[test]
fn widths_follow_the_standard() {
    let widths: Vec<_> = all_types().map(|t| bit_width(t).unwrap_or(0)).collect();
    #[rustfmt::skip]
    let expected = [
        32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2, 6, 6,
    ];
    assert_eq!(widths, expected);
}

/// The typed fields against `raw_data` as the ONNX Python helper writes it.
#[test]
fn typed_fields_equal_raw_bytes() {
    let int32 = |data_type, dims: &[i64], entries: &[i32]| TensorProto {
        int32_data: entries.to_vec(),
        ..tensor(data_type, dims)
    };
    let cases: Vec<(TensorProto, Vec<u8>)> = vec![
        (
            TensorProto {
                float_data: vec![1.0, -2.5],
                ..tensor(DataType::Float, &[2])
            },
            vec![0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0],
        ),
        (
            TensorProto {
                float_data: vec![1.0, -2.5],
                ..tensor(DataType::Complex64, &[])
            },
            vec![0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0],
        ),
        (
            TensorProto {
                double_data: vec![-1.0],
                ..tensor(DataType::Double, &[1, 1])
            },
            vec![0, 0, 0, 0, 0, 0, 0xf0, 0xbf],
        ),
        (
            TensorProto {
                int64_data: vec![-2],
                ..tensor(DataType::Int64, &[1])
            },
            vec![0xfe, 255, 255, 255, 255, 255, 255, 255],
        ),
        (
            TensorProto {
                uint64_data: vec![1 << 40],
                ..tensor(DataType::Uint64, &[1])
            },
            vec![0, 0, 0, 0, 0, 1, 0, 0],
        ),
        (
            TensorProto {
                uint64_data: vec![u32::MAX.into()],
                ..tensor(DataType::Uint32, &[1])
            },
            vec![255; 4],
        ),
        (
            int32(DataType::Int32, &[1], &[-3]),
            vec![0xfd, 255, 255, 255],
        ),
        (int32(DataType::Int16, &[1], &[-3]), vec![0xfd, 255]),
        (int32(DataType::Uint16, &[1], &[0xabcd]), vec![0xcd, 0xab]),
        (int32(DataType::Float16, &[1], &[0x3c00]), vec![0, 0x3c]),
        (int32(DataType::Bfloat16, &[1], &[0xbf80]), vec![0x80, 0xbf]),
        (int32(DataType::Int8, &[2], &[-1, 7]), vec![255, 7]),
        (int32(DataType::Uint8, &[2], &[200, 7]), vec![200, 7]),
        (int32(DataType::Bool, &[3], &[0, 1, 2]), vec![0, 1, 1]),
        (int32(DataType::Float8e4m3fn, &[1], &[0x7e]), vec![0x7e]),
        (int32(DataType::Float8e8m0, &[1], &[0x7f]), vec![0x7f]),
        // Three 4-bit elements in two entries, five 2-bit ones in two.
        (int32(DataType::Int4, &[3], &[0x21, 0x0f]), vec![0x21, 0x0f]),
        (int32(DataType::Float4e2m1, &[2], &[0x21]), vec![0x21]),
        (
            int32(DataType::Uint2, &[5], &[0b1110_0100, 0b10]),
            vec![0b1110_0100, 0b10],
        ),
        // 1, 2, 3, 63 and 5 as a stream of six bits each.
        (
            int32(DataType::Float6e2m3, &[5], &[1, 2, 3, 63, 5]),
            vec![0x81, 0x30, 0xfc, 0x05],
        ),
        (
            int32(DataType::Float6e3m2, &[2], &[1, 63]),
            vec![0xc1, 0x0f],
        ),
    ];
    for (typed, expected) in cases {
        let bytes = little_endian(&typed).unwrap();
        assert_eq!(bytes, expected, "{typed:?}");
        assert_eq!(byte_len(&typed).unwrap(), expected.len() as u64);
        // The same bytes as raw_data are accepted and come back untouched.
        let raw = TensorProto {
            raw_data: Some(Bytes::from(expected.clone())),
            ..tensor(
                DataType::try_from(typed.data_type.unwrap()).unwrap(),
                &typed.dims,
            )
        };
        assert_eq!(little_endian(&raw).unwrap(), expected);
    }
}

#[test]
fn raw_data_is_shared_not_copied() {
    let raw = Bytes::from(vec![7u8; 64]);
    let t = TensorProto {
        raw_data: Some(raw.clone()),
        ..tensor(DataType::Float, &[16])
    };
    assert_eq!(little_endian(&t).unwrap().as_ptr(), raw.as_ptr());
}

#[test]
fn sizes_are_checked_for_every_type() {
    for data_type in all_types() {
        let empty = tensor(data_type, &[0, 7]);
        check_size(&empty).unwrap_or_else(|e| panic!("no elements need no data: {e}"));
        let missing = check_size(&tensor(data_type, &[2, 3])).unwrap_err();
        assert!(matches!(
            missing.problem,
            TensorProblem::WrongLength { actual: 0, .. }
        ));
        assert!(
            missing.to_string().starts_with("tensor \"w\": "),
            "{missing}"
        );
        if data_type != DataType::String {
            let t = TensorProto {
                raw_data: Some(vec![0; 500].into()),
                ..tensor(data_type, &[7])
            };
            let wrong = little_endian(&t).unwrap_err();
            assert!(matches!(
                wrong.problem,
                TensorProblem::WrongLength { actual: 500, .. }
            ));
        }
    }
}

#[test]
fn hostile_dimensions_are_errors() {
    let huge = tensor(DataType::Float, &[1 << 40, 1 << 40]);
    assert!(matches!(
        element_count(&huge).unwrap_err().problem,
        TensorProblem::Overflow { .. }
    ));
    // Fits as a count, not as bytes.
    let wide = tensor(DataType::Complex128, &[1 << 62]);
    assert_eq!(element_count(&wide).unwrap(), 1 << 62);
    assert!(matches!(
        byte_len(&wide).unwrap_err().problem,
        TensorProblem::Overflow { .. }
    ));
    assert!(matches!(
        check_size(&wide).unwrap_err().problem,
        TensorProblem::Overflow { .. }
    ));
    // A zero anywhere makes the product zero, on either side of the overflow.
    for dims in [
        [0, 1 << 40, 1 << 40],
        [1 << 40, 1 << 40, 0],
        [1 << 40, 0, i64::MAX],
    ] {
        assert_eq!(element_count(&tensor(DataType::Float, &dims)).unwrap(), 0);
    }
    let below = tensor(DataType::Float, &[3, -1]);
    let expected = TensorProblem::NegativeDimension { axis: 1, size: -1 };
    assert_eq!(element_count(&below).unwrap_err().problem, expected);
    assert_eq!(element_count(&tensor(DataType::Float, &[])).unwrap(), 1);
    // Declared large, stored small: an error, and nothing is allocated.
    let liar = TensorProto {
        raw_data: Some(Bytes::from_static(&[0; 4])),
        ..tensor(DataType::Float, &[1 << 50])
    };
    assert!(matches!(
        little_endian(&liar).unwrap_err().problem,
        TensorProblem::WrongLength { actual: 4, .. }
    ));
}

#[test]
fn types_and_places_that_hold_no_bytes() {
    for code in [None, Some(0), Some(-1), Some(29), Some(i32::MAX)] {
        let t = TensorProto {
            data_type: code,
            ..TensorProto::default()
        };
        let problem = little_endian(&t).unwrap_err().problem;
        assert_eq!(problem, TensorProblem::UnknownType(code.unwrap_or(0)));
    }
    let words = TensorProto {
        string_data: vec![Bytes::from_static(b"a"), Bytes::from_static(b"")],
        ..tensor(DataType::String, &[2])
    };
    assert_eq!(
        little_endian(&words).unwrap_err().problem,
        TensorProblem::String
    );
    assert_eq!(strings(&words).unwrap().len(), 2);
    let outside = TensorProto {
        data_location: Some(DataLocation::External as i32),
        ..tensor(DataType::Float, &[1 << 20])
    };
    check_size(&outside).unwrap();
    assert_eq!(
        little_endian(&outside).unwrap_err().problem,
        TensorProblem::External
    );
    let chunk = TensorProto {
        segment: Some(Default::default()),
        float_data: vec![0.0],
        ..tensor(DataType::Float, &[1])
    };
    assert_eq!(
        little_endian(&chunk).unwrap_err().problem,
        TensorProblem::Segmented
    );
}
