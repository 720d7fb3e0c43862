//! The head of a result: everything but the chunks, which lie elsewhere.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use crate::{
    ColumnType, Parameter, Secret, WireError,
    failure::is_uuid,
    json::{Object, ObjectWriter},
    parameters,
    query::is_query_context,
};

/// `ALTER USER … ADD PROGRAMMATIC ACCESS TOKEN` answers with the secret as a row (F18).
pub const CREDENTIAL_STATEMENT_TYPE: i64 = 0x6244;
/// Parent of several statements.
const MULTI_STATEMENT_TYPE: i64 = 0xA000;

/// Keys that make a driver move files between its disk and cloud storage.
const FILE_TRANSFER: [&str; 8] = [
    "command",
    "encryptionMaterial",
    "localLocation",
    "operation",
    "presignedUrls",
    "src_locations",
    "stageInfo",
    "uploadInfo",
];
const ROWSET: &str = "rowset";
const ROWSET_BASE64: &str = "rowsetBase64";
/// Longest text under an unknown key that is still taken for a label, not for data.
const LABEL_BYTES: usize = 256;
/// Keys of Amazon's server-side encryption with a customer's key, which `qrmk` stands for.
const SSE_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const SSE_KEY: &str = "x-amz-server-side-encryption-customer-key";

/// How rows are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultFormat {
    /// Arrays of arrays of texts and nulls.
    Json,
    /// An Arrow IPC stream.
    Arrow,
}

impl ResultFormat {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }
}

/// The rows that came with the head.
pub enum InlineRows {
    /// None: all rows are in chunks, or there are none.
    None,
    /// `[["1","a"],…]`, as it came.
    Json(Box<RawValue>),
    /// An Arrow IPC stream in base64, as it came.
    ArrowBase64(String),
}

impl InlineRows {
    /// The Arrow stream itself.
    pub fn arrow(&self) -> Result<Option<Vec<u8>>, WireError> {
        match self {
            Self::ArrowBase64(text) => BASE64
                .decode(text)
                .map(Some)
                .map_err(|_| WireError::Unexpected { key: ROWSET_BASE64 }),
            Self::None | Self::Json(_) => Ok(None),
        }
    }
}

impl fmt::Debug for InlineRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Json(_) => "Json(***)",
            Self::ArrowBase64(_) => "ArrowBase64(***)",
        })
    }
}

/// A piece of the result in cloud storage. Its URL is a credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// Presigned, valid for hours, from anywhere.
    pub url: Secret,
    /// Rows in it.
    pub row_count: i64,
    /// Bytes after inflating.
    #[serde(default)]
    pub uncompressed_size: Option<i64>,
    /// Bytes as stored.
    #[serde(default)]
    pub compressed_size: Option<i64>,
}

/// The head of a result.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResultHead {
    /// Upstream's id of the statement.
    pub query_id: Option<String>,
    /// The row type.
    pub columns: Vec<ColumnType>,
    /// Rows that came along.
    pub rows: InlineRows,
    /// How rows are written, here and in the chunks.
    pub format: ResultFormat,
    /// Rows in all.
    pub total: Option<i64>,
    /// Rows given.
    pub returned: Option<i64>,
    /// Pieces elsewhere.
    pub chunks: Vec<Chunk>,
    /// Headers that fetching a chunk takes: `chunkHeaders`, or those `qrmk` stands for.
    pub chunk_headers: Vec<(String, Secret)>,
    /// Kind of statement that ran; known only afterwards.
    pub statement_type_id: Option<i64>,
    /// Database after the statement.
    pub final_database: Option<String>,
    /// Schema after the statement.
    pub final_schema: Option<String>,
    /// Warehouse after the statement.
    pub final_warehouse: Option<String>,
    /// Role after the statement.
    pub final_role: Option<String>,
    /// Parameters the driver shall know.
    pub parameters: Vec<Parameter>,
    /// Counters such as `numRowsInserted`.
    pub stats: BTreeMap<String, i64>,
    /// Cache for hybrid tables; goes as it came.
    pub query_context: Option<Box<RawValue>>,
    /// Binds the statement takes.
    pub number_of_binds: Option<i64>,
    /// Their types, of a statement that was only compiled.
    pub bind_types: Option<Vec<ColumnType>>,
    /// Whether arrays may be bound.
    pub array_bind_supported: Option<bool>,
    /// Version of the layout.
    pub version: Option<Number>,
    /// When upstream sent it, milliseconds since 1970.
    pub sent_ms: Option<Number>,
}

/// A chunk as the driver shall see it.
#[derive(Clone, Debug)]
pub struct ClientChunk {
    /// URL on the gateway.
    pub url: String,
    /// Rows in it.
    pub row_count: i64,
    /// Bytes after inflating.
    pub uncompressed_size: i64,
    /// Bytes as stored.
    pub compressed_size: i64,
}

/// The rows of a rendered head.
#[derive(Clone, Copy)]
pub enum RenderRows<'a> {
    /// Those that came, untouched.
    Keep,
    /// A masked rowset, `[[…],…]`.
    Json(&'a [u8]),
    /// A masked Arrow IPC stream, not yet in base64.
    Arrow(&'a [u8]),
    /// None.
    Empty,
}

/// What the gate puts in the place of upstream's.
#[derive(Clone, Copy)]
pub struct Render<'a> {
    /// The id the driver knows the statement by.
    pub query_id: &'a str,
    /// The rows.
    pub rows: RenderRows<'a>,
    /// The chunks, on the gateway.
    pub chunks: &'a [ClientChunk],
    /// Headers the driver sends to fetch them.
    pub chunk_headers: &'a [(&'a str, &'a str)],
    /// Columns a mask may have set to NULL: they become nullable. Shorter than the row type means
    /// false for the rest.
    pub masked: &'a [bool],
}

impl ResultHead {
    pub(crate) fn read(mut data: Object<'_>) -> Result<Self, WireError> {
        for key in FILE_TRANSFER {
            if data.raw(key).is_some() {
                return Err(WireError::FileTransfer);
            }
        }
        let statement_type_id: Option<i64> = data.take("statementTypeId")?;
        let children = data.text("resultIds")?.is_some();
        if children || statement_type_id == Some(MULTI_STATEMENT_TYPE) {
            return Err(WireError::MultiStatement);
        }
        let (format, rows) = rows(&mut data)?;
        let head = Self {
            query_id: data.text("queryId")?.filter(|id| is_uuid(id)),
            columns: data.take("rowtype")?.unwrap_or_default(),
            rows,
            format,
            total: data.take("total")?,
            returned: data.take("returned")?,
            chunks: data.take("chunks")?.unwrap_or_default(),
            chunk_headers: chunk_headers(&mut data)?,
            statement_type_id,
            final_database: data.text("finalDatabaseName")?,
            final_schema: data.text("finalSchemaName")?,
            final_warehouse: data.text("finalWarehouseName")?,
            final_role: data.text("finalRoleName")?,
            parameters: parameters::read_list(data.raw("parameters"))?,
            stats: stats(data.object("stats")?),
            query_context: data
                .raw("queryContext")
                .filter(|raw| is_query_context(raw))
                .map(ToOwned::to_owned),
            number_of_binds: data.take("numberOfBinds")?,
            bind_types: data.take("metaDataOfBinds")?,
            array_bind_supported: data.take("arrayBindSupported")?,
            version: data.take("version")?,
            sent_ms: data.take("sendResultTime")?,
        };
        no_unknown_data(data)?;
        Ok(head)
    }

    /// The reply for the driver: this head with the gate's rows, chunks, headers and id.
    pub fn render(&self, with: &Render<'_>) -> Vec<u8> {
        let mut columns = self.columns.clone();
        for (column, masked) in columns.iter_mut().zip(with.masked) {
            column.nullable |= masked;
        }
        let mut data = ObjectWriter::new();
        data.put("parameters", &parameters::for_client(&self.parameters)).put("rowtype", &columns);
        self.put_rows(&mut data, with.rows);
        data.put("total", &self.total)
            .put("returned", &self.returned)
            .put("queryId", with.query_id)
            .put("databaseProvider", &())
            .put("finalDatabaseName", &self.final_database)
            .put("finalSchemaName", &self.final_schema)
            .put("finalWarehouseName", &self.final_warehouse)
            .put("finalRoleName", &self.final_role)
            .put("numberOfBinds", &self.number_of_binds.unwrap_or(0))
            .put("arrayBindSupported", &self.array_bind_supported.unwrap_or(false))
            .put("statementTypeId", &self.statement_type_id)
            .put("version", &self.version.clone().unwrap_or_else(|| 1.into()));
        data.put_some("metaDataOfBinds", self.bind_types.as_ref());
        data.put_some("sendResultTime", self.sent_ms.as_ref());
        if !with.chunks.is_empty() {
            put_chunks(&mut data, with);
        }
        if !self.stats.is_empty() {
            data.put("stats", &self.stats);
        }
        data.put_some("queryContext", self.query_context.as_ref());
        crate::success(&data.finish())
    }

    fn put_rows(&self, data: &mut ObjectWriter, rows: RenderRows<'_>) {
        match (rows, &self.rows) {
            (RenderRows::Json(rowset), _) => data.put_raw(ROWSET, rowset),
            (RenderRows::Arrow(stream), _) => data.put(ROWSET_BASE64, &BASE64.encode(stream)),
            (RenderRows::Keep, InlineRows::Json(rowset)) => {
                data.put_raw(ROWSET, rowset.get().as_bytes())
            }
            (RenderRows::Keep, InlineRows::ArrowBase64(text)) => data.put(ROWSET_BASE64, text),
            (RenderRows::Keep, InlineRows::None) | (RenderRows::Empty, _) => match self.format {
                ResultFormat::Json => data.put_raw(ROWSET, b"[]"),
                ResultFormat::Arrow => data.put(ROWSET_BASE64, ""),
            },
        };
        let format = match rows {
            RenderRows::Json(_) => ResultFormat::Json,
            RenderRows::Arrow(_) => ResultFormat::Arrow,
            RenderRows::Keep | RenderRows::Empty => self.format,
        };
        data.put("queryResultFormat", format.name());
    }
}

fn put_chunks(data: &mut ObjectWriter, with: &Render<'_>) {
    let mut list = vec![b'['];
    for chunk in with.chunks {
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend(
            ObjectWriter::new()
                .put("url", &chunk.url)
                .put("rowCount", &chunk.row_count)
                .put("uncompressedSize", &chunk.uncompressed_size)
                .put("compressedSize", &chunk.compressed_size)
                .finish(),
        );
    }
    list.push(b']');
    let mut headers = ObjectWriter::new();
    for (name, value) in with.chunk_headers {
        headers.put(name, value);
    }
    data.put_raw("chunks", &list).put_raw("chunkHeaders", &headers.finish());
}

/// The rows and their format. Rows in the other format than the one that is named would be read by
/// one driver and not by another.
fn rows(data: &mut Object<'_>) -> Result<(ResultFormat, InlineRows), WireError> {
    const KEY: &str = "queryResultFormat";
    let rowset = data.raw(ROWSET).filter(|raw| {
        !(raw.get().starts_with('[') && raw.get().bytes().all(|b| b"[] \t\r\n".contains(&b)))
    });
    let base64 = data.text(ROWSET_BASE64)?;
    let format = match data.text(KEY)?.as_deref() {
        Some("arrow") => ResultFormat::Arrow,
        None if base64.is_some() => ResultFormat::Arrow,
        Some("json") | None => ResultFormat::Json,
        Some(_) => return Err(WireError::Unexpected { key: KEY }),
    };
    if rowset.is_some_and(|raw| !raw.get().starts_with('[')) {
        return Err(WireError::Unexpected { key: ROWSET });
    }
    match (format, rowset, base64) {
        (_, None, None) => Ok((format, InlineRows::None)),
        (ResultFormat::Json, Some(rowset), None) => {
            Ok((format, InlineRows::Json(rowset.to_owned())))
        }
        (ResultFormat::Arrow, None, Some(text)) => Ok((format, InlineRows::ArrowBase64(text))),
        _ => Err(WireError::Unexpected { key: ROWSET }),
    }
}

fn chunk_headers(data: &mut Object<'_>) -> Result<Vec<(String, Secret)>, WireError> {
    let key: Option<Secret> = data.take("qrmk")?;
    let named: BTreeMap<String, Secret> = data.take("chunkHeaders")?.unwrap_or_default();
    if !named.is_empty() {
        return Ok(named.into_iter().collect());
    }
    Ok(match key {
        Some(key) if !key.is_empty() => {
            vec![(SSE_ALGORITHM.to_owned(), Secret::new("AES256")), (SSE_KEY.to_owned(), key)]
        }
        _ => Vec::new(),
    })
}

/// Counters only: a text under `stats` could be a value.
fn stats(object: Object<'_>) -> BTreeMap<String, i64> {
    let plain = |name: &str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric());
    object
        .rest()
        .filter(|(name, _)| plain(name))
        .filter_map(|(name, raw)| Some((name, raw.get().parse().ok()?)))
        .collect()
}

/// What is left was not asked for. Scalars and labels are dropped; what could be rows is an error,
/// since a driver of tomorrow may need it, and dropping it would show a part as the whole (F19).
fn no_unknown_data(data: Object<'_>) -> Result<(), WireError> {
    for (key, raw) in data.rest() {
        let text = raw.get();
        let empty = text.bytes().all(|byte| b"[]{} \t\r\n".contains(&byte));
        if (text.starts_with(['[', '{']) && !empty) || text.len() > LABEL_BYTES {
            let plain =
                key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return Err(WireError::UnknownData { key: if plain { key } else { "?".to_owned() } });
        }
    }
    Ok(())
}
