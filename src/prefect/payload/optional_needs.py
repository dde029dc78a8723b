"""What libraries import only when some of their functions are called: a table, with its sources.

A flow that calls `pandas.read_parquet` imports pandas alone, and fails where there is no pyarrow. What
such a call needs is required of where the flow runs as well, if it is installed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_Ways = tuple[tuple[str, ...], ...]

_ARROW: _Ways = (("pyarrow",),)
_EXCEL: _Ways = (("openpyxl",), ("python_calamine",), ("xlrd",))
_PARQUET: _Ways = (("pyarrow",), ("fastparquet",))
_PLOTS: _Ways = (("matplotlib",),)
_SQL: _Ways = (("sqlalchemy",),)
_NETCDF: _Ways = (("netCDF4",), ("h5netcdf",), ("scipy",))

# By library, and by the name of a function or method that is called: in several ways, the library's
# default first, which modules it imports.
_CALLS: dict[str, dict[str, _Ways]] = {
    # pandas, "Installation", section "Optional dependencies", and the engines in its API reference:
    # pandas.pydata.org/docs/getting_started/install.html
    "pandas": {
        "read_parquet": _PARQUET,
        "to_parquet": _PARQUET,
        "read_feather": _ARROW,
        "to_feather": _ARROW,
        "read_orc": _ARROW,
        "to_orc": _ARROW,
        "read_excel": _EXCEL,
        "ExcelFile": _EXCEL,
        "to_excel": (("xlsxwriter",), ("openpyxl",)),
        "ExcelWriter": (("xlsxwriter",), ("openpyxl",)),
        "read_html": (("lxml",), ("bs4", "html5lib")),
        "read_xml": (("lxml",),),
        "to_xml": (("lxml",),),
        "read_hdf": (("tables",),),
        "to_hdf": (("tables",),),
        "HDFStore": (("tables",),),
        "read_sql": _SQL,
        "read_sql_query": _SQL,
        "read_sql_table": _SQL,
        "to_sql": _SQL,
        "read_spss": (("pyreadstat",),),
        "read_iceberg": (("pyiceberg",),),
        "to_iceberg": (("pyiceberg",),),
        "to_markdown": (("tabulate",),),
        "to_xarray": (("xarray",),),
        "style": (("jinja2",),),
        "plot": _PLOTS,
        "boxplot": _PLOTS,
    },
    # polars, "Installation", section "Feature flags", and "Excel":
    # docs.pola.rs/user-guide/installation, docs.pola.rs/user-guide/io/excel
    "polars": {
        "read_excel": (("fastexcel",), ("xlsx2csv",), ("openpyxl",)),
        "read_ods": (("fastexcel",),),
        "write_excel": (("xlsxwriter",),),
        "to_pandas": (("pandas", "pyarrow"),),
        "to_arrow": _ARROW,
        "from_arrow": _ARROW,
        "read_delta": (("deltalake",),),
        "scan_delta": (("deltalake",),),
        "write_delta": (("deltalake",),),
        "scan_iceberg": (("pyiceberg",),),
        "read_database_uri": (("connectorx",), ("adbc_driver_manager",)),
        "write_database": _SQL,
        "plot": (("altair",),),
        "style": (("great_tables",),),
    },
    # xarray, "Installation", section "Optional dependencies":
    # docs.xarray.dev/en/stable/getting-started-guide/installing.html
    "xarray": {
        "open_dataset": _NETCDF,
        "load_dataset": _NETCDF,
        "open_dataarray": _NETCDF,
        "open_mfdataset": (("netCDF4", "dask"), ("h5netcdf", "dask"), ("scipy", "dask")),
        "to_netcdf": _NETCDF,
        "open_zarr": (("zarr",),),
        "to_zarr": (("zarr",),),
        "chunk": (("dask",),),
        "plot": _PLOTS,
    },
}
# By module: what is imported with it and belongs to an extra of its distribution.
_MODULES: dict[str, tuple[str, ...]] = {
    # Dask, "Dask Installation", section "Optional dependencies": docs.dask.org/en/stable/install.html
    "dask.array": ("numpy",),
    "dask.dataframe": ("pandas", "pyarrow"),
    "dask.distributed": ("distributed",),
    # SQLAlchemy, "Asynchronous I/O": docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html
    "sqlalchemy.ext.asyncio": ("greenlet",),
}


def optional_needs(
    called: Collection[str],
    modules: Iterable[str],
    libraries: Collection[str],
    is_installed: Callable[[str], bool],
) -> set[str]:
    """Return the modules that are imported once what a flow calls is called, of those installed here.

    Args:
        called: names of functions and methods that the flow's functions use.
        modules: that the flow imports.
        libraries: that the flow may call, whatever it imports them by.
        is_installed: tells whether a top-level module is installed here.
    """
    needed = {
        each
        for module in modules
        for parent, needs in _MODULES.items()
        if module == parent or module.startswith(f"{parent}.")
        for each in needs
    }
    for library in _CALLS.keys() & set(libraries):
        calls = _CALLS[library]
        for name in calls.keys() & set(called):
            ways = (way for way in calls[name] if all(map(is_installed, way)))
            needed.update(next(ways, ()))
    return {each for each in needed if is_installed(each)}
