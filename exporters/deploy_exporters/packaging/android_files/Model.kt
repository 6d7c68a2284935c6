package deploy.packaged.@PACKAGE@

import android.content.Context
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

/**
 * @DESCRIPTION@
 *
 * Arrays are in row-major order. One call at a time; calls from several threads wait for each other.
 */
class @CLASS@(context: Context, threads: Int = 2) : AutoCloseable {
    class Answer(@ANSWER_FIELDS@)

    private val interpreter = Interpreter(mapped(context), Interpreter.Options().setNumThreads(threads))

    /** @PREDICT_DOC@ */
    @Synchronized
    fun predict(@PARAMETERS@): Answer {
@RESIZES@
        val inputs = mapOf<String, Any>(
@INPUT_PAIRS@
        )
        val outputs = mapOf<String, Any?>(@OUTPUT_PAIRS@)
        interpreter.runSignature(inputs, outputs, SIGNATURE)
        return Answer(@ANSWERS@)
    }

    @Synchronized
    override fun close() = interpreter.close()

    private fun answered(name: String): ByteBuffer =
        interpreter.getOutputTensorFromSignature(name, SIGNATURE).asReadOnlyBuffer().order(ByteOrder.nativeOrder())

    companion object {
        const val ASSET = "@FILE@"
        const val SIGNATURE = "@KEY@"

        /** Map the model; it must lie uncompressed in the assets (noCompress). */
        private fun mapped(context: Context): MappedByteBuffer =
            context.assets.openFd(ASSET).use { asset ->
                FileInputStream(asset.fileDescriptor).use { file ->
                    file.channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
                }
            }
    }
}

private fun room(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

@CONVERSIONS@
