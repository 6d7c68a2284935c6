"""The operators that have a translation: name → module:function. To add one, write the function and its row."""

from __future__ import annotations

_FUNCTIONS: dict[str, str] = {
    # elementwise
    "elementwise:unary": (
        "Acosh Asinh Atanh BitwiseNot Ceil Cos Exp Floor Identity Log Neg Not Reciprocal Round"
        " Sigmoid Sin Softplus Softsign Sqrt Tanh"
    ),
    "elementwise:binary": (
        "Add BitwiseAnd BitwiseOr BitwiseXor Mul Sub And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual"
    ),
    "elementwise:variadic": "Max Mean Min Sum",
    "elementwise:absolute": "Abs",
    "elementwise:bit_shift": "BitShift",
    "activations:celu": "Celu",
    "elementwise:clip": "Clip",
    "elementwise:divide": "Div",
    "elementwise:dropout": "Dropout",
    "activations:elu": "Elu",
    "activations:erf": "Erf",
    "activations:gelu": "Gelu",
    "activations:hard_sigmoid": "HardSigmoid",
    "activations:hard_swish": "HardSwish",
    "elementwise:is_inf": "IsInf",
    "elementwise:is_nan": "IsNaN",
    "activations:leaky_relu": "LeakyRelu",
    "activations:mish": "Mish",
    "elementwise:modulo": "Mod",
    "elementwise:power": "Pow",
    "activations:prelu": "PRelu",
    "activations:relu": "Relu",
    "activations:selu": "Selu",
    "activations:shrink": "Shrink",
    "elementwise:sign": "Sign",
    "activations:swish": "Swish",
    "activations:thresholded_relu": "ThresholdedRelu",
    "elementwise:trigonometric": "Acos Asin Atan Cosh Sinh Tan",
    "elementwise:where": "Where",
    # dtypes
    "casting:bit_cast": "BitCast",
    "casting:cast": "Cast",
    "casting:cast_like": "CastLike",
    "casting:dequantize": "DequantizeLinear",
    "casting:dynamic_quantize": "DynamicQuantizeLinear",
    "casting:quantize": "QuantizeLinear",
    # matrices and convolutions
    "matrix:determinant": "Det",
    "matrix:einsum": "Einsum",
    "matrix:gemm": "Gemm",
    "matrix:matmul": "MatMul",
    "matrix:matmul_integer": "MatMulInteger",
    "matrix:qlinear_matmul": "QLinearMatMul",
    "convolution:conv": "Conv",
    "convolution:conv_integer": "ConvInteger",
    "convolution:qlinear_conv": "QLinearConv",
    "deconvolution:conv_transpose": "ConvTranspose",
    "pooling:average_pool": "AveragePool",
    "pooling:global_pool": "GlobalAveragePool GlobalLpPool GlobalMaxPool",
    "pooling:lp_pool": "LpPool",
    "pooling:max_pool": "MaxPool",
    "recurrent:recurrent": "GRU LSTM RNN",
    # along axes
    "normalization:batch_normalization": "BatchNormalization",
    "normalization:group_normalization": "GroupNormalization",
    "normalization:instance_normalization": "InstanceNormalization",
    "normalization:layer_normalization": "LayerNormalization",
    "normalization:lrn": "LRN",
    "normalization:mean_variance_normalization": "MeanVarianceNormalization",
    "normalization:rms_normalization": "RMSNormalization",
    "reduction:arg_extreme": "ArgMax ArgMin",
    "reduction:cumulative": "CumProd CumSum",
    "reduction:hardmax": "Hardmax",
    "reduction:lp_normalization": "LpNormalization",
    "reduction:reduction": (
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
        " ReduceSumSquare"
    ),
    "reduction:softmax": "LogSoftmax Softmax",
    "reduction:top_k": "TopK",
    # graphs within the graph
    "control:branch": "If",
    "control:loop": "Loop",
    "control:scan": "Scan",
    # sequences
    "sequences:at": "SequenceAt",
    "sequences:concat_from_sequence": "ConcatFromSequence",
    "sequences:construct": "SequenceConstruct",
    "sequences:empty": "SequenceEmpty",
    "sequences:erase": "SequenceErase",
    "sequences:has_element": "OptionalHasElement",
    "sequences:insert": "SequenceInsert",
    "sequences:length": "SequenceLength",
    "sequences:optional": "Optional OptionalGetElement",
    "sequences:split_to_sequence": "SplitToSequence",
    # pictures
    "regions:col2im": "Col2Im",
    "regions:max_unpool": "MaxUnpool",
    "regions:non_max_suppression": "NonMaxSuppression",
    "regions:tensor_scatter": "TensorScatter",
    "resize:resize": "Resize Upsample",
    "sampling:affine_grid": "AffineGrid",
    "sampling:grid_sample": "GridSample",
    "between:deform_conv": "DeformConv",
    "between:roi_align": "RoiAlign",
    # random numbers
    "randomness:bernoulli": "Bernoulli",
    "randomness:multinomial": "Multinomial",
    "randomness:random": "RandomNormal RandomUniform",
    "randomness:random_like": "RandomNormalLike RandomUniformLike",
    # signals
    "signals:dft": "DFT",
    "signals:mel_weight_matrix": "MelWeightMatrix",
    "signals:stft": "STFT",
    # shapes and indices
    "indexing:compress": "Compress",
    "indexing:gather": "Gather",
    "indexing:gather_elements": "GatherElements",
    "indexing:gather_nd": "GatherND",
    "indexing:non_zero": "NonZero",
    "indexing:one_hot": "OneHot",
    "indexing:reverse_sequence": "ReverseSequence",
    "indexing:scatter_elements": "Scatter ScatterElements",
    "indexing:scatter_nd": "ScatterND",
    "unique:unique": "Unique",
    "slicing:concat": "Concat",
    "shape:constant": "Constant",
    "shape:constant_of_shape": "ConstantOfShape",
    "shape:depth_to_space": "DepthToSpace",
    "shape:expand": "Expand",
    "shape:eye_like": "EyeLike",
    "shape:flatten": "Flatten",
    "shape:number_range": "Range",
    "slicing:pad": "Pad",
    "shape:reshape": "Reshape",
    "shape:shape": "Shape",
    "shape:size": "Size",
    "slicing:slice_": "Slice",
    "shape:space_to_depth": "SpaceToDepth",
    "slicing:split": "Split",
    "shape:squeeze": "Squeeze",
    "shape:tile": "Tile",
    "shape:transpose": "Transpose",
    "shape:trilu": "Trilu",
    "shape:unsqueeze": "Unsqueeze",
}

OPERATORS: dict[str, str] = {name: where for where, names in _FUNCTIONS.items() for name in names.split()}

# Operators that treat each element by itself, so that the order of the axes is all the same to them.
POINTWISE = frozenset(name for name, where in OPERATORS.items() if where.startswith(("elementwise:", "activations:")))

# Operators never computed beforehand: they answer differently each time, or read tensors that are not their inputs.
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
LIVE = frozenset({"If", "Loop", "Scan", *_RANDOM})
