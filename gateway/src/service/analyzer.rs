//! RunAnalyzer: what an analyzer makes of texts.

use std::sync::Arc;

use millstream_catalog::model::{DataType, Fault};
use millstream_text::Analyzer;

use super::Context;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::names;
use crate::pb;

/// The most bytes of all texts of one request.
const TEXTS_BYTES_MAX: usize = 1 << 20;

pub(super) async fn run(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::RunAnalyzerRequest,
) -> Result<pb::RunAnalyzerResponse, Fault> {
    let bytes: usize = request.placeholder.iter().map(|text| text.len()).sum();
    if bytes > TEXTS_BYTES_MAX {
        let text = format!("the texts take {bytes} bytes, more than {TEXTS_BYTES_MAX}");
        return Err(Fault::invalid(text));
    }
    if !request.analyzer_names.is_empty() {
        return Err(Fault::invalid("analyzers with names are not supported yet"));
    }
    let params = match request.collection_name.is_empty() {
        true => request.analyzer_params.clone(),
        false => params_of_field(gateway, context, &request).await?,
    };
    let given = Some(params.trim()).filter(|params| !params.is_empty());
    let analyzer = Analyzer::from_params(given)?;
    let mut results = Vec::with_capacity(request.placeholder.len());
    for text in &request.placeholder {
        let text = std::str::from_utf8(text)
            .map_err(|_| Fault::invalid("a text to analyze is not valid UTF-8"))?;
        let mut tokens = Vec::new();
        analyzer.analyze(text, &mut |token| {
            let mut shown =
                pb::AnalyzerToken { token: token.text.to_owned(), ..Default::default() };
            if request.with_detail {
                shown.start_offset = i64::from(token.start);
                shown.end_offset = i64::from(token.end);
                shown.position = i64::from(token.position);
                shown.position_length = i64::from(token.length);
            }
            if request.with_hash {
                shown.hash = hash(token.text.as_bytes());
            }
            tokens.push(shown);
        });
        results.push(pb::AnalyzerResult { tokens });
    }
    Ok(pb::RunAnalyzerResponse { status: Some(success()), results })
}

/// The analyzer of a field of a collection.
async fn params_of_field(
    gateway: &Gateway,
    context: &Context,
    request: &pb::RunAnalyzerRequest,
) -> Result<String, Fault> {
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let name = &request.field_name;
    let field = collection.schema.field(name);
    let field = field.ok_or_else(|| Fault::plain(format!("field {name} not exist")))?;
    let enabled =
        field.type_param("enable_analyzer").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if field.data_type != DataType::VarChar || !enabled {
        return Err(Fault::invalid(format!("field {name} has no analyzer")));
    }
    Ok(field.type_param("analyzer_params").unwrap_or_default().to_owned())
}

/// CRC-32 with the polynomial of IEEE 802.3: how Milvus numbers terms.
fn hash(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_has_the_hash_that_milvus_gives_it() {
        assert_eq!(hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(hash(b""), 0);
    }
}
