"""Notebooks that show what a library does with its import: how it prints, plots and draws numbers."""

from __future__ import annotations

NUMBERS = "import numpy as np\nrng = np.random.default_rng(7)\nx = rng.normal(size=(200, 3))"
FRAME = f"{NUMBERS}\nimport pandas as pd\nframe = pd.DataFrame(x, columns=list('abc'))"
WIDE = "pd.DataFrame(rng.normal(size=(3, 40)), columns=[f'a_rather_long_name_{n}' for n in range(40)])"
SKLEARN = """\
import sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler"""

GOLDEN: dict[str, tuple[str, ...]] = {
    "joblib": (
        "from joblib import Parallel, delayed, hash as digest\nimport math\nPair = [1, 2, {'a': 3}]",
        "print(Parallel(n_jobs=2, prefer='threads')(delayed(math.sqrt)(n) for n in range(5)))\ndigest(Pair)",
        "Parallel(n_jobs=2)(delayed(math.factorial)(n) for n in range(5))",
    ),
    "matplotlib": (
        "import matplotlib.pyplot as plt\nimport matplotlib",
        "fig, ax = plt.subplots(figsize=(3, 2))\nax.plot([1, 3], label='a')\nax.legend()\nax.set_title('$x^2$')",
        "plt.hist([1, 2, 2, 3]); plt.show()",
        "print(matplotlib.get_backend(), plt.isinteractive(), sorted(matplotlib.rcParams.items())[:40])",
        "fig",
        "with plt.style.context('ggplot'):\n    plt.bar([1, 2], [3, 4]); plt.show()",
        "%matplotlib inline\nplt.imshow([[1, 2], [3, 4]])",
        "plt.plot([1]); raise ValueError('with a figure open')",
    ),
    "numpy": (
        NUMBERS,
        "print(x[:2]); x.mean(axis=0)",
        "np.array([1e-20, 1.0, np.nan]), np.float32(1.5), np.get_printoptions()",
        "np.geterr(), np.linalg.eigvalsh(x.T @ x), np.arange(2000)",
        "np.array([1.0]) / 0",
        "np.random.seed(3); np.random.rand(4), np.random.RandomState(4).rand(2)",
        "np.array([1, 2]) @ np.array([1, 2, 3])",
    ),
    "pandas": (
        FRAME,
        "frame",
        "print(frame); print(frame.describe())",
        WIDE,
        f"print({WIDE})",
        "[(name, pd.get_option(name)) for name in ('display.max_columns', 'display.max_rows', 'display.width')]",
        "frame.groupby(frame.a > 0).mean(), frame.dtypes, pd.Series(['x', None]), pd.Timestamp('2026-01-01', tz='UTC')",
        "frame.style.format('{:.2f}').set_uuid('fixed').to_html()[:300]",
        "frame.loc['nothing']",
        "import io\npd.read_csv(io.StringIO('a,b\\n1,x\\n'), dtype_backend='pyarrow').dtypes",
    ),
    "pyarrow": (
        "import pyarrow as pa\nimport pyarrow.parquet as pq\nimport pyarrow.compute as pc",
        "table = pa.table({'a': [1, 2, None], 'b': ['x', 'y', 'z']})\ntable",
        "out = pa.BufferOutputStream()\npq.write_table(table, out)\nlen(out.getvalue()), pq.read_table(out.getvalue())",
        "pc.sum(table['a']), table.filter(pc.field('a') > 1), pa.default_memory_pool().backend_name",
        "table.to_pandas()",
        "pa.array([1, 'x'])",
    ),
    "scipy": (
        f"{NUMBERS}\nfrom scipy import stats, optimize, sparse, linalg\nimport scipy.signal",
        "stats.ttest_ind(x[:, 0], x[:, 1])",
        "optimize.minimize(lambda v: ((v - 3) ** 2).sum(), [0.0, 1.0])",
        "print(sparse.eye(3)); sparse.eye(3)",
        "linalg.svdvals(x), stats.norm(0, 1).rvs(3, random_state=1)",
        "linalg.inv(np.zeros((2, 2)))",
    ),
    "scrapbook": (
        "import scrapbook as sb\nimport pandas as pd",
        "sb.glue('auc', 0.75)\nsb.glue('names', ['a', 'b'])",
        "sb.glue('table', pd.DataFrame({'a': [1, 2]}), encoder='pandas')",
        "sb.glue('shown', pd.DataFrame({'a': [1, 2]}), display=True)",
        "import math\nsb.glue('nothing', None); sb.glue('nan', math.nan)",
        "sb.glue('wrong', object())",
    ),
    "seaborn": (
        f"{FRAME}\nimport seaborn as sns",
        "sns.set_theme()\nsns.histplot(frame.a)",
        "sns.lmplot(frame, x='a', y='b', seed=0, n_boot=20)",
        "sns.color_palette(), sns.color_palette()",
    ),
    "sklearn": (
        SKLEARN,
        "X, y = make_classification(300, random_state=0)\npipe = make_pipeline(StandardScaler(), LogisticRegression())",
        "print(pipe); repr(pipe.fit(X, y)), pipe.predict_proba(X)[:3]",
        "RandomForestClassifier(20, random_state=1, n_jobs=2).fit(X, y).feature_importances_",
        "HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(X, y).predict_proba(X)[:3]",
        "sklearn.get_config()",
        "LogisticRegression(max_iter=1).fit(X, y).n_iter_",
        "LogisticRegression(C=-1).fit(X, y)",
    ),
    "skops": (
        "import skops.io as sio\nfrom sklearn.linear_model import LinearRegression\nimport numpy as np",
        "model = LinearRegression().fit(np.arange(6).reshape(3, 2), [1, 2, 3])\ndata = sio.dumps(model)",
        "sio.get_untrusted_types(data=data), sio.loads(data).coef_",
    ),
    "statsmodels": (
        f"{FRAME}\nimport statsmodels.api as sm\nimport statsmodels.formula.api as smf",
        "smf.ols('a ~ b + c', frame).fit().params",
        "print(smf.ols('a ~ b', frame).fit().rsquared); sm.add_constant(x[:2])",
        "sm.tsa.acf(x[:, 0], nlags=3)",
        "smf.ols('a ~ missing', frame).fit()",
    ),
}
