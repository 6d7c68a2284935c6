"""What operators of different runtimes have in common: one family for `Conv`, `CONV_2D`, `aten::convolution` and `Conv2D`."""

from __future__ import annotations

import re

_FAMILIES = {
    "convolution": "conv conv1d conv2d conv3d convolution depthwiseconv2d depthwiseconv2dnative convinteger qlinearconv"
    " separableconv2d depthwiseconv1d fusedconv conv2dmodule thnnconv2d mkldnnconvolution convdepthwise2d",
    "transposed convolution": "convtranspose convtranspose1d convtranspose2d conv1dtranspose conv2dtranspose"
    " conv2dbackpropinput transposeconv convtranspose3d",
    "batch norm": "batchnorm batchnormalization fusedbatchnorm nativebatchnorm nativebatchnormlegitnotraining batchnorm1d"
    " batchnorm2d batchnorm3d nativebatchnormlegit cudnnbatchnorm",
    "layer norm": "layernorm layernormalization nativelayernorm skiplayernormalization simplifiedlayernormalization"
    " rmsnorm rmsnormalization",
    "group norm": "groupnorm groupnormalization nativegroupnorm",
    "instance norm": "instancenorm instancenormalization",
    "dense": "gemm matmul linear addmm mm bmm fullyconnected batchmatmul dense matmulinteger qlinearmatmul dot baddbmm"
    " fusedgemm fusedmatmul einsum einsumdense",
    "attention": "scaleddotproductattention attention multiheadattention scaleddotproductflashattentionforcpu",
    "relu": "relu relu0to1",
    "relu6": "relu6",
    "leaky relu": "leakyrelu",
    "prelu": "prelu",
    "elu": "elu",
    "selu": "selu",
    "gelu": "gelu biasgelu fastgelu",
    "silu": "silu swish",
    "mish": "mish",
    "sigmoid": "sigmoid logistic",
    "hard sigmoid": "hardsigmoid",
    "hard swish": "hardswish",
    "tanh": "tanh",
    "softmax": "softmax safesoftmax",
    "log softmax": "logsoftmax",
    "softplus": "softplus",
    "clip": "clip clamp clipbyvalue hardtanh clampmin clampmax clampvalue",
    "max pool": "maxpool maxpool1d maxpool2d maxpool3d maxpooling1d maxpooling2d maxpool2dwithindices",
    "average pool": "averagepool avgpool avgpool1d avgpool2d averagepool2d averagepooling1d averagepooling2d",
    "mean": "mean reducemean globalaveragepool globalaveragepooling1d globalaveragepooling2d adaptiveavgpool2d"
    " adaptiveavgpool1d",
    "sum": "sum reducesum",
    "maximum over": "reducemax amax globalmaxpool globalmaxpooling2d adaptivemaxpool2d max",
    "minimum over": "reducemin amin min",
    "add": "add addv2 biasadd",
    "subtract": "sub subtract rsub",
    "multiply": "mul multiply",
    "divide": "div realdiv truediv divide",
    "power": "pow square squareddifference",
    "square root": "sqrt",
    "reciprocal root": "rsqrt",
    "exponential": "exp",
    "logarithm": "log log1p",
    "erf": "erf erfc",
    "negative": "neg negative",
    "greater of": "maximum",
    "lesser of": "minimum",
    "concatenation": "concat concatv2 concatenation cat concatenate",
    "split": "split splitv chunk splitwithsizes unbind unpack",
    "slice": "slice stridedslice select narrow",
    "lookup": "gather gatherv2 embedding resourcegather gathernd index indexselect embeddingbag",
    "choice": "where select selectv2 maskedfill",
    "padding": "pad padv2 mirrorpad constantpadnd zeropadding1d zeropadding2d reflectionpad2d",
    "resize": "resize upsample upsampling2d resizebilinear resizenearestneighbor upsamplebilinear2d upsamplenearest2d",
    "expansion": "expand tile broadcastto repeat",
    "lstm": "lstm unidirectionalsequencelstm lstmsequence",
    "gru": "gru grusequence",
    "rnn": "rnn simplernn rnntanh rnnrelu rnnsequence",
    "transposition": "transpose permute t numpyt spacetodepthperm swapaxes movedim adjoint",
    "reshape": "reshape view viewcopy flatten squeeze unsqueeze expanddims unsafeview squeezecopy unflatten pack stack",
    "identity": "identity dropout featuredropout contiguous clone alias detach liftfreshcopy inputlayer noop"
    " readvariableop placeholderwithdefault identityn stopgradient nativedropout",
    "cast": "cast to tocopy castlike",
    "quantisation": "quantize dequantize quantizelinear dequantizelinear dynamicquantizelinear fakequant"
    " quantizepertensor quantizeperchannel dequantizepertensor",
}  # fmt: skip
_OF = {name: family for family, names in _FAMILIES.items() for name in names.split()}
MOVES = frozenset({"transposition", "reshape", "identity", "cast", "quantisation"})
ACTIVATIONS = frozenset(
    {"relu", "relu6", "leaky relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "hard sigmoid"}
    | {"hard swish", "tanh", "softmax", "log softmax", "softplus", "clip"}
)
NORMS = frozenset({"batch norm", "layer norm", "group norm", "instance norm"})
LOOPS = frozenset({"while", "statelesswhile", "loop", "scan"})
RECURRENT = frozenset({"lstm", "gru", "rnn"})
HEADS = frozenset({"convolution", "transposed convolution", "dense", "attention", "lookup"}) | RECURRENT
# What a runtime that has no such operator makes it of; what one of these explains is not missing.
PARTS = {
    "batch norm": {"multiply", "add", "subtract", "convolution", "dense", "transposed convolution"},
    "layer norm": {"mean", "subtract", "reciprocal root", "square root", "instance norm"},
    "group norm": {"mean", "instance norm", "batch norm", "subtract"},
    "instance norm": {"mean", "batch norm", "subtract"},
    "gelu": {"erf", "tanh", "power"},
    "silu": {"sigmoid"},
    "mish": {"softplus", "tanh"},
    "hard swish": {"hard sigmoid", "relu6", "clip", "relu"},
    "hard sigmoid": {"relu6", "clip", "relu", "lesser of"},
    "log softmax": {"softmax", "exponential", "logarithm"},
    "softmax": {"exponential", "log softmax", "attention"},
    "sigmoid": {"exponential", "silu"},
    "softplus": {"exponential", "logarithm"},
    "relu6": {"clip", "relu", "lesser of"},
    "relu": {"clip", "greater of", "relu6"},
    "clip": {"relu6", "relu", "lesser of", "greater of"},
    "leaky relu": {"greater of", "choice", "relu", "prelu"},
    "prelu": {"greater of", "relu", "leaky relu", "choice"},
    "elu": {"exponential", "selu", "choice"},
    "selu": {"exponential", "elu", "choice"},
    "average pool": {"mean", "convolution", "sum"},
    "mean": {"average pool", "sum"},
    "max pool": {"maximum over"},
    "attention": {"softmax", "dense"},
    "lstm": {"sigmoid", "tanh", *LOOPS},
    "gru": {"sigmoid", "tanh", *LOOPS},
    "rnn": {"tanh", "relu", *LOOPS},
    "lookup": {"dense"},
    "choice": {"add", "multiply", "subtract", "attention"},
}
_PREFIX = re.compile(r"^(aten|prim|quantized|onnx|tf|keras|torch|nn|ops|ai\.onnx|com\.microsoft)(::|\.|/)")
_VERSION = re.compile(r"v\d+$")


def family(operator: str) -> str:
    """Give the family, or the operator's own name in small letters if it belongs to none."""
    name = operator.strip().lower()
    while match := _PREFIX.match(name):
        name = name[match.end() :]
    name = name.partition(".")[0].replace("_", "").replace(" ", "")
    return _OF.get(name) or _OF.get(_VERSION.sub("", name)) or name


def named(fam: str) -> str:
    """Give a family as a sentence has it."""
    return {"dense": "dense layer", "choice": "a choice by a mask"}.get(fam, fam)
